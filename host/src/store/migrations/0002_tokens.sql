-- Of a token only its SHA-256 is kept. Those of a tenant go with it; operators' have none.
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    tenant TEXT REFERENCES tenants (id) ON DELETE CASCADE,
    made BIGINT NOT NULL,
    who TEXT NOT NULL,
    expires BIGINT
);

CREATE INDEX tokens_by_tenant ON tokens (tenant, id);
