-- Rows of :runs runs as MLflow 2.22 writes them. One run has 8 parameters, 4 tags and 5 metrics of 4 steps each:
-- 100,000 runs are 3.9 million rows.

INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time)
SELECT 1000000 + e, 'filled ' || e, 'mlflow-artifacts:/' || (1000000 + e), CASE WHEN e % 17 = 0 THEN 'deleted' ELSE 'active' END,
       1700000000000 + e, 1700000000000 + e
FROM generate_series(1, greatest(1, :runs / 200)) AS e;

INSERT INTO experiment_tags (experiment_id, key, value)
SELECT experiment_id, 'team', 'team-' || experiment_id % 7 FROM experiments WHERE experiment_id > 1000000;

CREATE TEMPORARY TABLE filled AS
SELECT n, md5('run ' || n) AS run, 1000001 + n % greatest(1, :runs / 200) AS experiment FROM generate_series(1, :runs) AS n;

INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,
                  source_version, lifecycle_stage, artifact_uri, experiment_id, deleted_time)
SELECT run, 'brave-run-' || n, 'LOCAL', 'train.py', '', 'user-' || n % 23,
       (ARRAY['FINISHED', 'FINISHED', 'FINISHED', 'FAILED', 'KILLED', 'RUNNING'])[1 + n % 6],
       1700000000000 + n * 1000, CASE WHEN n % 6 = 5 THEN NULL ELSE 1700000000500 + n * 1000 END, substr(md5(n::text), 1, 40),
       CASE WHEN n % 50 = 0 THEN 'deleted' ELSE 'active' END, 'mlflow-artifacts:/' || experiment || '/' || run || '/artifacts',
       experiment, CASE WHEN n % 50 = 0 THEN 1700000001000 + n * 1000 END
FROM filled;

INSERT INTO params (run_uuid, key, value)
SELECT run, 'parameter_' || p, CASE WHEN p = 8 THEN repeat('ü%''"\\ ', 20) ELSE md5(n || ' ' || p) END
FROM filled, generate_series(1, 8) AS p;

INSERT INTO tags (run_uuid, key, value)
SELECT run, k, CASE k WHEN 'mlflow.runName' THEN 'brave-run-' || n WHEN 'mlflow.user' THEN 'user-' || n % 23 ELSE md5(n || k) END
FROM filled, unnest(ARRAY['mlflow.runName', 'mlflow.user', 'mlflow.source.name', 'note']) AS k;

INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan)
SELECT run, 'metric_' || m, CASE WHEN n % 40 = 0 AND m = 5 THEN 0 ELSE sin(n * m) / s END, 1700000000000 + n * 1000 + s, s,
       n % 40 = 0 AND m = 5
FROM filled, generate_series(1, 5) AS m, generate_series(1, 4) AS s;

INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan)
SELECT run_uuid, key, value, timestamp, step, is_nan FROM metrics JOIN filled ON run = run_uuid WHERE step = 4;

INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source, dataset_schema, dataset_profile)
SELECT DISTINCT ON (experiment) md5('dataset ' || experiment), experiment, 'table', substr(md5(experiment::text), 1, 8), 'code', '{"tags": {}}',
       '{"mlflow_colspec": []}', '{"num_rows": 10}'
FROM filled;

INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id)
SELECT md5('input ' || run), 'DATASET', md5('dataset ' || experiment), 'RUN', run FROM filled WHERE n % 10 = 0;

INSERT INTO input_tags (input_uuid, name, value)
SELECT md5('input ' || run), 'mlflow.data.context', 'training' FROM filled WHERE n % 10 = 0;

INSERT INTO registered_models (name, creation_time, last_updated_time, description)
SELECT 'model ' || m, 1700000000000 + m, 1700000000000 + m, 'a model' FROM generate_series(1, greatest(1, :runs / 500)) AS m;

INSERT INTO registered_model_tags (name, key, value) SELECT name, 'stage', 'test' FROM registered_models WHERE name LIKE 'model %';

INSERT INTO model_versions (name, version, creation_time, last_updated_time, description, user_id, current_stage, source, run_id, status,
                            status_message, run_link, storage_location)
SELECT 'model ' || m, v, 1700000000000 + v, 1700000000000 + v, '', '', (ARRAY['None', 'Staging', 'Production'])[v],
       'mlflow-artifacts:/x/' || md5('run ' || v) || '/artifacts/model', md5('run ' || v), 'READY', NULL, '', NULL
FROM generate_series(1, greatest(1, :runs / 500)) AS m, generate_series(1, 3) AS v;

INSERT INTO model_version_tags (name, version, key, value)
SELECT name, version, 'checked', 'yes' FROM model_versions WHERE name LIKE 'model %';

INSERT INTO registered_model_aliases (name, alias, version) SELECT name, 'champion', 3 FROM registered_models WHERE name LIKE 'model %';

INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status)
SELECT 'tr-' || run, experiment, 1700000000000 + n, n % 1000, 'OK' FROM filled WHERE n % 10 = 1;

INSERT INTO trace_tags (request_id, key, value)
SELECT 'tr-' || run, k, md5(run || k) FROM filled, unnest(ARRAY['mlflow.traceName', 'mlflow.user']) AS k WHERE n % 10 = 1;

INSERT INTO trace_request_metadata (request_id, key, value)
SELECT 'tr-' || run, k, CASE k WHEN 'mlflow.sourceRun' THEN run ELSE '{"question": "why?"}' END
FROM filled, unnest(ARRAY['mlflow.sourceRun', 'mlflow.traceInputs']) AS k WHERE n % 10 = 1;

ANALYZE;
