-- What Scale's database knows of jobs, executions and ingests since a moment, as events for scale-metrics: an object a line.
--
--     psql -XqAt -v ON_ERROR_STOP=1 -v since=-infinity -f events.sql "$SCALE_DATABASE_URL" | scale-metrics import --url … -
--
-- With `-v kept_from=2024-05-01`, what ended before that is left out: a server with a retention refuses it, and all that stands
-- beside it in the same request.
--
-- It only reads, in one snapshot. For the tables of Scale 6; docs/scale.md tells what goes where.
\set FETCH_COUNT 10000
\if :{?kept_from}
\else
\set kept_from -infinity
\endif
SET TIME ZONE 'UTC';
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- Choices first, since an event may name only what is defined. There are few, so all of them go out each time.

SELECT json_strip_nulls(json_build_object(
    'kind', 'job_type', 'id', id, 'name', name, 'version', version,
    'title', nullif(manifest->'job'->>'title', ''), 'description', manifest->'job'->>'description',
    'author_name', manifest->'job'->'maintainer'->>'name', 'author_url', manifest->'job'->'maintainer'->>'url',
    'is_system', is_system, 'is_long_running', is_long_running, 'is_active', is_active, 'is_paused', is_paused,
    'icon_code', icon_code))
FROM job_type ORDER BY id;

SELECT json_strip_nulls(json_build_object(
    'kind', 'strike', 'id', id, 'name', name, 'title', nullif(title, ''), 'description', description))
FROM strike ORDER BY id;

SELECT json_strip_nulls(json_build_object(
    'kind', 'error', 'id', id, 'name', name, 'title', nullif(title, ''), 'description', description,
    'category', category, 'job_type_name', job_type_name, 'is_builtin', is_builtin,
    'should_be_retried', should_be_retried))
FROM error ORDER BY id;

-- Jobs in whatever state they are now: one that runs again takes its former end out of the metrics.
SELECT json_strip_nulls(json_build_object(
    'kind', 'job', 'id', id, 'job_type', job_type_id, 'status', status, 'ended', ended, 'error', error_id,
    'last_modified', last_modified))
FROM job
WHERE last_modified >= :'since'::timestamptz
    AND (ended >= :'kept_from'::timestamptz OR status NOT IN ('COMPLETED', 'FAILED', 'CANCELED'))
ORDER BY last_modified, id;

-- Executions that have ended; Scale writes their row once, at the end.
SELECT json_strip_nulls(json_build_object(
    'kind', 'job_execution', 'id', job_exe_id, 'job_type', job_type_id, 'status', status,
    'queued', queued, 'started', started, 'ended', ended, 'error', error_id,
    'tasks', (
        SELECT json_agg(json_build_object('type', task->>'type', 'started', task->>'started', 'ended', task->>'ended'))
        FROM jsonb_array_elements(task_results->'tasks') AS task
        WHERE task->>'type' IN ('pull', 'pre', 'main', 'post')
            AND task->>'started' IS NOT NULL AND task->>'ended' IS NOT NULL)))
FROM job_exe_end
WHERE created >= :'since'::timestamptz
    AND ended >= :'kept_from'::timestamptz
ORDER BY created, job_exe_id;

SELECT json_strip_nulls(json_build_object(
    'kind', 'ingest', 'id', id, 'strike', strike_id, 'status', status, 'file_size', file_size,
    'transfer_started', transfer_started, 'transfer_ended', transfer_ended,
    'ingest_started', ingest_started, 'ingest_ended', ingest_ended, 'last_modified', last_modified))
FROM ingest
WHERE last_modified >= :'since'::timestamptz
    AND (ingest_ended >= :'kept_from'::timestamptz OR status NOT IN ('DEFERRED', 'INGESTED', 'ERRORED', 'DUPLICATE'))
ORDER BY last_modified, id;

COMMIT;
