"""What SkyCMS's CloudFrontCdnDriver sends, byte for byte: signed by hand, no namespace, no body hash, no retry, and
`/*` for a publish of the home page. Its host is hard-coded; here a TLS proxy answers for it."""

import hashlib
import hmac
import http.client
import os
import re
import socket
import ssl
import sys
import uuid
from datetime import datetime, timezone
from xml.sax.saxutils import escape

HOST = "cloudfront.amazonaws.com"
REGION = os.environ["AWS_DEFAULT_REGION"]
distribution, *urls = sys.argv[1:]

if not urls or any(url in ("/", "root") for url in urls):
    urls = ["/*"]
now = datetime.now(timezone.utc)
paths = "".join(f"<Path>{escape(url)}</Path>" for url in urls)
reference = f"SkyCMS-{int(now.timestamp())}-{uuid.uuid4()}"
body = (
    '<?xml version="1.0" encoding="UTF-8"?><InvalidationBatch>'
    f"<Paths><Quantity>{len(urls)}</Quantity><Items>{paths}</Items></Paths>"
    f"<CallerReference>{reference}</CallerReference></InvalidationBatch>"
).encode()
uri = f"/2020-05-31/distribution/{distribution}/invalidation"
amz_date, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
content_type = "application/xml; charset=utf-8"
signed_headers = "content-type;host;x-amz-date"
canonical = "\n".join(
    [
        "POST",
        uri,
        "",
        f"content-type:{content_type}",
        f"host:{HOST}",
        f"x-amz-date:{amz_date}",
        "",
        signed_headers,
        hashlib.sha256(body).hexdigest(),
    ]
)
scope = f"{day}/{REGION}/cloudfront/aws4_request"
to_sign = "\n".join(
    ["AWS4-HMAC-SHA256", amz_date, scope, hashlib.sha256(canonical.encode()).hexdigest()]
)
key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
for part in scope.split("/"):
    key = hmac.new(key, part.encode(), hashlib.sha256).digest()
signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


class AtTheProxy(http.client.HTTPSConnection):
    """As a host whose name resolves to the proxy."""

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", int(os.environ["PROXY_PORT"])))
        self.sock = self._context.wrap_socket(plain, server_hostname=HOST)


trusted = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
connection = AtTheProxy(HOST, timeout=30, context=trusted)
connection.request(
    "POST",
    uri,
    body,
    {
        "Content-Type": content_type,
        "X-Amz-Date": amz_date,
        "Authorization": (
            f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
            f"SignedHeaders={signed_headers}, Signature={signature}"
        ),
    },
)
answer = connection.getresponse()
text = answer.read().decode()
found = re.search("<Id>(.*?)</Id>", text)
if not 200 <= answer.status < 300 or not found:
    sys.exit(f"{answer.status}: {text}")
print(found.group(1))
