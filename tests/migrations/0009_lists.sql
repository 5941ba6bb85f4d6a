-- As rows of the schema before have it.
UPDATE publish SET troubled = state IN ('unconfirmed', 'failed');
