-- Users and their permissions. No test signs in as one of them.
INSERT INTO users (username, password_hash, is_admin)
SELECT 'person-' || u, 'scrypt:32768:8:1$' || md5(u::text) || '$' || md5(u::text), false FROM generate_series(1, 50) AS u;
INSERT INTO experiment_permissions (experiment_id, user_id, permission)
SELECT (1000000 + id)::text, id, (ARRAY['READ', 'EDIT', 'MANAGE'])[1 + id % 3] FROM users WHERE username LIKE 'person-%';
INSERT INTO registered_model_permissions (name, user_id, permission)
SELECT 'model ' || id, id, 'READ' FROM users WHERE username LIKE 'person-%';
