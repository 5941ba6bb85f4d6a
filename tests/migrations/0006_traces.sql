-- What came with 0006, as a service of that schema wrote it.

UPDATE publish SET traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' WHERE site_id = 1;
