// AWS's SDK for JavaScript: an invalidation and its waiter.
import {
  CloudFrontClient,
  CreateInvalidationCommand,
  waitUntilInvalidationCompleted,
} from "@aws-sdk/client-cloudfront";

const [distribution, reference, ...paths] = process.argv.slice(2);
const client = new CloudFrontClient({});
const answer = await client.send(
  new CreateInvalidationCommand({
    DistributionId: distribution,
    InvalidationBatch: {
      Paths: { Quantity: paths.length, Items: paths },
      CallerReference: reference,
    },
  }),
);
const id = answer.Invalidation.Id;
await waitUntilInvalidationCompleted(
  { client, maxWaitTime: Number(process.env.WAIT_SECONDS), minDelay: 1, maxDelay: 2 },
  { DistributionId: distribution, Id: id },
);
console.log(id);
