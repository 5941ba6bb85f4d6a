"""boto3, as its users write it: an invalidation and its waiter."""

import sys

import boto3

distribution, reference, *paths = sys.argv[1:]
client = boto3.client("cloudfront")
answer = client.create_invalidation(
    DistributionId=distribution,
    InvalidationBatch={
        "Paths": {"Quantity": len(paths), "Items": paths},
        "CallerReference": reference,
    },
)
identifier = answer["Invalidation"]["Id"]
client.get_waiter("invalidation_completed").wait(
    DistributionId=distribution, Id=identifier, WaiterConfig={"Delay": 1}
)
print(identifier)
