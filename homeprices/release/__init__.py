"""Which bundle serves which visitors: the control record, promotion, rollback, revert, holds, replicas."""
