"""A storm of publishes by boto3 or Wagtail, from as many threads as a site has workers. Prints how long each call held
its caller, and how many of them failed, as the sender understands it."""

import json
import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

sender, distribution, calls, workers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


def paths_of(number):
    return [f"/section-{number % 40}/page-{number}", "/", "/sitemap.xml"]


def boto3_sender():
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client("cloudfront")

    def send(number):
        paths = paths_of(number)
        batch = {"Paths": {"Quantity": len(paths), "Items": paths}, "CallerReference": f"storm-{number}"}
        try:
            client.create_invalidation(DistributionId=distribution, InvalidationBatch=batch)
        except (BotoCoreError, ClientError):
            return False
        return True

    return send


def wagtail_sender():
    import django
    from django.conf import settings

    settings.configure()
    django.setup()

    from wagtail.contrib.frontend_cache.backends import CloudfrontBackend

    backend = CloudfrontBackend({"DISTRIBUTION_ID": distribution})
    failed = threading.local()

    class Noted(logging.Handler):
        """Wagtail tells its log alone."""

        def emit(self, record):
            failed.here = True

    logging.getLogger("wagtail.frontendcache").addHandler(Noted())

    def send(number):
        failed.here = False
        backend.purge_batch([f"https://www.example.com{path}" for path in paths_of(number)])
        return not failed.here

    return send


send = {"boto3": boto3_sender, "Wagtail": wagtail_sender}[sender]()
# Threads hand in more than boto3's ten connections.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def timed(number):
    began = time.monotonic()
    done = send(number)
    return (time.monotonic() - began) * 1000, done


with ThreadPoolExecutor(workers) as pool:
    ended = list(pool.map(timed, range(calls)))
print(json.dumps({"held_ms": sorted(ms for ms, _ in ended), "failed": sum(not done for _, done in ended)}))
