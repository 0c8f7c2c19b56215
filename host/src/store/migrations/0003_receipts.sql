-- A receipt: what is searched for stands in columns, and its events whole, as JSON. Its id
-- is a ULID, which has the time. The tenant of refused relaying is empty, for it is the
-- operators'; that of any other need not be there any more.
CREATE TABLE receipts (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    direction TEXT NOT NULL,
    sender_domain TEXT NOT NULL,
    sender_local TEXT NOT NULL,
    recipient_domain TEXT NOT NULL,
    recipient_local TEXT NOT NULL,
    client TEXT NOT NULL,
    policy TEXT,
    verdict TEXT NOT NULL,
    event TEXT NOT NULL,
    content TEXT,
    outcome TEXT
);

-- All begin with the tenant: what is written together stands together.
CREATE INDEX receipts_by_tenant ON receipts (tenant, id);
CREATE INDEX receipts_by_policy ON receipts (tenant, policy, id);
CREATE INDEX receipts_by_sender ON receipts (tenant, sender_domain, sender_local, id);
CREATE INDEX receipts_by_recipient ON receipts (tenant, recipient_domain, recipient_local, id);
CREATE INDEX receipts_by_client ON receipts (tenant, client, id);
CREATE INDEX receipts_refused ON receipts (tenant, id) WHERE verdict <> 'accepted';

-- How many there are of each tenant, kept in the same transactions.
CREATE TABLE receipt_counts (
    tenant TEXT NOT NULL PRIMARY KEY,
    receipts BIGINT NOT NULL
);

-- What receipts need so that their decisions can be run again, and the newest receipt of
-- the tenant that needs it. The oldest go first, so when every one left is newer nobody
-- needs it any more.
CREATE TABLE receipt_needs (
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    tenant TEXT NOT NULL,
    last TEXT NOT NULL,
    PRIMARY KEY (kind, digest, tenant)
);

-- Policies by their revisions, as receipts name them.
CREATE TABLE policy_contents (
    digest TEXT NOT NULL PRIMARY KEY,
    content TEXT NOT NULL
);

-- Contents of lists and modules that no tenant has any more, and since when: a receipt
-- that is on its way may still need them.
CREATE TABLE unused_contents (
    digest TEXT NOT NULL PRIMARY KEY,
    since BIGINT NOT NULL
);
