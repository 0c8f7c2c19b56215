-- Types and statements that SQLite and PostgreSQL both take: times and counts are
-- BIGINT, ids, digests and JSON are TEXT.

CREATE TABLE tenants (
    id TEXT NOT NULL PRIMARY KEY,
    operator TEXT NOT NULL,
    own TEXT NOT NULL,
    digest TEXT NOT NULL,
    revision BIGINT NOT NULL
);

-- A domain is one tenant's.
CREATE TABLE domains (
    domain TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    place BIGINT NOT NULL
);

CREATE INDEX domains_by_tenant ON domains (tenant);

CREATE TABLE list_contents (
    digest TEXT NOT NULL PRIMARY KEY,
    entries BIGINT NOT NULL,
    content TEXT NOT NULL
);

CREATE TABLE lists (
    tenant TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    content TEXT NOT NULL REFERENCES list_contents (digest),
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE INDEX lists_by_content ON lists (content);

CREATE TABLE module_contents (
    digest TEXT NOT NULL PRIMARY KEY,
    size BIGINT NOT NULL,
    content BYTEA NOT NULL
);

-- The active revision is a number among the revisions; these are never changed.
CREATE TABLE modules (
    tenant TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    place BIGINT NOT NULL,
    active BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE module_revisions (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    number BIGINT NOT NULL,
    content TEXT NOT NULL REFERENCES module_contents (digest),
    made BIGINT NOT NULL,
    who TEXT NOT NULL,
    PRIMARY KEY (tenant, name, number),
    FOREIGN KEY (tenant, name) REFERENCES modules (tenant, name) ON DELETE CASCADE
);

CREATE INDEX module_revisions_by_content ON module_revisions (content);

-- Settings that a module was asked about and found no fault in, by an engine of these
-- limits: asking starts a process, and thousands of policies are loaded at a start.
CREATE TABLE checked_settings (
    module TEXT NOT NULL REFERENCES module_contents (digest) ON DELETE CASCADE,
    settings TEXT NOT NULL,
    engine TEXT NOT NULL,
    PRIMARY KEY (module, settings, engine)
);

CREATE TABLE policies (
    tenant TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    place BIGINT NOT NULL,
    document TEXT NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- Every change, in the order of the changes. Nothing of it is ever changed or removed.
CREATE TABLE audit (
    number BIGINT NOT NULL PRIMARY KEY,
    made BIGINT NOT NULL,
    who TEXT NOT NULL,
    tenant TEXT NOT NULL,
    what TEXT NOT NULL,
    was TEXT,
    became TEXT
);

CREATE INDEX audit_by_tenant ON audit (tenant, number);
