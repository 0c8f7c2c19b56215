-- The policy that was only monitored, so that all mail in a policy's scope can be counted:
-- where it decided, and where it would have. Receipts from before are not counted.
ALTER TABLE receipts ADD COLUMN monitored TEXT;

CREATE INDEX receipts_by_monitored ON receipts (tenant, monitored, id)
WHERE monitored IS NOT NULL;

-- What a policy refused is counted without reading a receipt.
CREATE INDEX receipts_refused_by_policy ON receipts (tenant, policy, id)
WHERE verdict <> 'accepted';
