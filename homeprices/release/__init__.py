"""Release of bundles to visitors: the control record, promotion, rollback, revert, holds, replicas."""
