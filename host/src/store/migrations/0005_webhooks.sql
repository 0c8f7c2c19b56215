-- A message is signed with the text of the secret, so that it is kept. It goes with the
-- tenant.
CREATE TABLE webhook_secrets (
    tenant TEXT NOT NULL PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    secret TEXT NOT NULL
);

-- What a tenant's webhook is told of a warning, its subject: that it appeared, or ended. The
-- last of a subject says whether it is there. Without a time when it is due it is delivered,
-- or given up.
CREATE TABLE webhook_messages (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    subject TEXT NOT NULL,
    appeared BIGINT NOT NULL,
    body TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    due BIGINT
);

CREATE INDEX webhook_messages_by_tenant ON webhook_messages (tenant, id);
CREATE INDEX webhook_messages_due ON webhook_messages (due);
