"""Which model is served to whom: version names, bundles, the control record, promotion, rollback, revert."""
