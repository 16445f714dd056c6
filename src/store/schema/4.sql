-- Schema 4: the same checks of `tasks`, cheaper. Never edited after its release.
--
-- For each `IN` of more than two values SQLite makes a temporary table at each change of a row: three of them were a tenth of
-- what a transition costs. Values joined by `OR` are compared one by one. The rows are what they were, so only the text of the
-- table changes, as SQLite's page on ALTER TABLE has it for checks.
PRAGMA writable_schema = ON;

UPDATE sqlite_schema SET sql = replace(sql,
'state IN (''pending'', ''processing'', ''paused'', ''waiting_unban'', ''retrying'',
                                                    ''testing'', ''needs_human_review'', ''completed'', ''failed'', ''cancelled'')',
'state = ''pending'' OR state = ''processing'' OR state = ''paused'' OR state = ''waiting_unban''
                                     OR state = ''retrying'' OR state = ''testing'' OR state = ''needs_human_review''
                                     OR state = ''completed'' OR state = ''failed'' OR state = ''cancelled''')
WHERE type = 'table' AND name = 'tasks';

UPDATE sqlite_schema SET sql = replace(sql,
'resume_to IN (''pending'', ''retrying'', ''waiting_unban'')',
'resume_to = ''pending'' OR resume_to = ''retrying'' OR resume_to = ''waiting_unban''')
WHERE type = 'table' AND name = 'tasks';

UPDATE sqlite_schema SET sql = replace(sql,
'(state IN (''completed'', ''failed'', ''cancelled''))',
'(state = ''completed'' OR state = ''failed'' OR state = ''cancelled'')')
WHERE type = 'table' AND name = 'tasks';

PRAGMA writable_schema = RESET;
