"""Model versions: listed, compared, tested, certified, promoted, and where each comes from."""
