-- The inverted index behind runs.list: one document per settled run, keyed by runs.seq. `facets` holds one token per
-- fact (project, status, template, model, metadata pair, …), `text` the words of the messages and the answer.
-- Derived data: it can be dropped and rebuilt at any time (README, "Exporting the database").
CREATE VIRTUAL TABLE run_search USING fts5(facets, text, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 0');
