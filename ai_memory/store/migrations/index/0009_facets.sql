-- What a search can be narrowed to is counted with each one: project by project in this order, from the index alone.
CREATE INDEX pages_faceted ON pages (project, kind, tags, size, expires_at);
