-- What bytelog 0.1.0 had in its database after one key and one event, posted with an Idempotency-Key.
BEGIN TRANSACTION;
CREATE TABLE api_key (
	id INTEGER NOT NULL, 
	project_id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	scopes VARCHAR(255) NOT NULL, 
	created VARCHAR(24) NOT NULL, 
	expires VARCHAR(24), 
	revoked VARCHAR(24), 
	PRIMARY KEY (id), 
	FOREIGN KEY(project_id) REFERENCES project (id), 
	UNIQUE (digest)
);
INSERT INTO "api_key" VALUES(1,2,'alice','6bb64eba6ca1573fc6fdf06773431f62c6b4c8b64e4f6a6d6bb8457c6f2dd0c6','read write','2026-11-23T23:41:51.116Z',NULL,NULL);
CREATE TABLE bytelog_version (
	version_num VARCHAR(32) NOT NULL, 
	PRIMARY KEY (version_num)
);
INSERT INTO "bytelog_version" VALUES('0002');
CREATE TABLE event (
	"key" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	project_id INTEGER NOT NULL, 
	id BIGINT NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	trace_id VARCHAR(255) NOT NULL, 
	date VARCHAR(24) NOT NULL, 
	data TEXT NOT NULL, 
	FOREIGN KEY(project_id) REFERENCES project (id)
);
INSERT INTO "event" VALUES(1,1,1,'click','03775690','2021-08-15T23:41:41.507Z','{"clicked_on":"sign up button"}');
CREATE TABLE idempotency_key (
	project_id INTEGER NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	created VARCHAR(24) NOT NULL, 
	PRIMARY KEY (project_id, "key"), 
	FOREIGN KEY(project_id) REFERENCES project (id)
);
INSERT INTO "idempotency_key" VALUES(1,'a','45c8cad40c60d5424a0e546f18b20c0543ef88bd126a9c6c40f4bf941d829848','2026-11-23T23:41:53.385Z');
CREATE TABLE project (
	id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "project" VALUES(1,'default');
INSERT INTO "project" VALUES(2,'shop');
CREATE INDEX idempotency_key_by_age ON idempotency_key (created);
CREATE INDEX event_by_trace ON event (project_id, trace_id, date);
CREATE INDEX event_by_date ON event (project_id, date);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('event',1);
COMMIT;
