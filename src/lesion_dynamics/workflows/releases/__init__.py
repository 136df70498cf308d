"""Model versions between registry, archive and people: served, carried, compared, promoted."""
