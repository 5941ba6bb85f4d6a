-- Whose trace a publish belongs to. Read by its key only.
ALTER TABLE publish ADD COLUMN traceparent text;
COMMENT ON COLUMN publish.traceparent IS 'W3C trace context, as the publisher sent it; null: none.';
