BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE answers (
	sequence INTEGER NOT NULL, 
	recommendation_id BLOB NOT NULL, 
	user_id BLOB, 
	time INTEGER NOT NULL, 
	item_ids TEXT NOT NULL, 
	source TEXT NOT NULL, 
	request TEXT NOT NULL, 
	PRIMARY KEY (sequence), 
	CONSTRAINT answers_by_id UNIQUE (recommendation_id)
);
INSERT INTO "answers" VALUES(1,X'72',X'616E6E61',1700000000000000,'["a","b"]','m/1','{"limit":2}');
CREATE TABLE audit (
	sequence INTEGER NOT NULL, 
	time INTEGER NOT NULL, 
	actor TEXT NOT NULL, 
	action TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (sequence)
);
INSERT INTO "audit" VALUES(1,1795327155694746,'key:k','promote','{"version":1}');
CREATE TABLE dead_letters (
	sequence INTEGER NOT NULL, 
	time INTEGER NOT NULL, 
	code TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	raw TEXT NOT NULL, 
	PRIMARY KEY (sequence)
);
INSERT INTO "dead_letters" VALUES(1,1795327155466545,'too_old','time 1950','"x"');
CREATE TABLE erased (
	digest BLOB NOT NULL, 
	PRIMARY KEY (digest)
)
 WITHOUT ROWID

;
INSERT INTO "erased" VALUES(X'7B9976058D1B7341B7BD753B2548BA2846AFB266F6A28848E2DDA5282E95715D');
CREATE TABLE events (
	sequence INTEGER NOT NULL, 
	user_key INTEGER NOT NULL, 
	item_key INTEGER NOT NULL, 
	kind SMALLINT NOT NULL, 
	time INTEGER NOT NULL, 
	value DOUBLE NOT NULL, 
	event_id BLOB, 
	session_id BLOB, 
	recommendation_id BLOB, 
	position INTEGER, 
	extra TEXT, 
	PRIMARY KEY (sequence)
);
INSERT INTO "events" VALUES(1,1,1,1,1700000000000000,1.0,X'6531',X'73',X'72',1,'{"context":{"page":"home"}}');
INSERT INTO "events" VALUES(2,1,2,2,1700000000000001,2.5,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(3,2,1,1,1700000000000002,1.0,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE items (
	item_key INTEGER NOT NULL, 
	item_id BLOB NOT NULL, 
	changed INTEGER NOT NULL, 
	properties TEXT, 
	categories TEXT, 
	available_from INTEGER, 
	expires_at INTEGER, 
	hidden BOOLEAN NOT NULL, 
	embedding BLOB, 
	deleted BOOLEAN NOT NULL, 
	PRIMARY KEY (item_key), 
	CONSTRAINT items_by_change UNIQUE (changed), 
	CONSTRAINT items_by_id UNIQUE (item_id)
);
INSERT INTO "items" VALUES(1,X'61',4,'{"title":"A"}','["x"]',NULL,NULL,0,NULL,0);
INSERT INTO "items" VALUES(2,X'62',2,NULL,NULL,NULL,NULL,0,NULL,0);
INSERT INTO "items" VALUES(3,X'676F6E65',6,NULL,NULL,NULL,NULL,0,NULL,1);
CREATE TABLE jobs (
	job_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	state TEXT NOT NULL, 
	created INTEGER NOT NULL, 
	updated INTEGER NOT NULL, 
	progress DOUBLE NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (job_id)
);
INSERT INTO "jobs" VALUES('j','train','done',1700000000000000,1700000000000000,1.0,'{}');
CREATE TABLE keys (
	key_id TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	scopes TEXT NOT NULL, 
	name TEXT NOT NULL, 
	created INTEGER NOT NULL, 
	revoked INTEGER, 
	signs_users BOOLEAN NOT NULL, 
	PRIMARY KEY (key_id)
);
INSERT INTO "keys" VALUES('k',X'0000000000000000000000000000000000000000000000000000000000000000','["admin"]','first',1700000000000000,NULL,0);
CREATE TABLE kinds (
	kind SMALLINT NOT NULL, 
	name BLOB NOT NULL, 
	PRIMARY KEY (kind)
);
INSERT INTO "kinds" VALUES(1,X'76696577');
INSERT INTO "kinds" VALUES(2,X'627579');
CREATE TABLE models (
	name TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	created INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	PRIMARY KEY (name, version)
);
INSERT INTO "models" VALUES('m',1,'models/m/1',1795327155612408,'promoted','{"ndcg@10":0.1}');
CREATE TABLE seen (
	user_key INTEGER NOT NULL, 
	item_key INTEGER NOT NULL, 
	kind SMALLINT NOT NULL, 
	last INTEGER NOT NULL, 
	second INTEGER, 
	third INTEGER, 
	PRIMARY KEY (user_key, item_key, kind)
)
 WITHOUT ROWID

;
INSERT INTO "seen" VALUES(1,1,1,1700000000000000,NULL,NULL);
INSERT INTO "seen" VALUES(1,2,2,1700000000000001,NULL,NULL);
INSERT INTO "seen" VALUES(2,1,1,1700000000000002,NULL,NULL);
CREATE TABLE settings (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "settings" VALUES('sequence','3');
INSERT INTO "settings" VALUES('erasure_salt','dd9a7df5144562f4a5336b52b7d444297403099ec326a8bb76c8a598b5331161');
INSERT INTO "settings" VALUES('user:secret','x');
CREATE TABLE tallies (
	level SMALLINT NOT NULL, 
	bucket INTEGER NOT NULL, 
	item_key INTEGER NOT NULL, 
	kind SMALLINT NOT NULL, 
	n INTEGER NOT NULL, 
	PRIMARY KEY (level, bucket, item_key, kind)
)
 WITHOUT ROWID

;
INSERT INTO "tallies" VALUES(0,472222,1,1,2);
INSERT INTO "tallies" VALUES(0,472222,2,2,1);
INSERT INTO "tallies" VALUES(1,19675,1,1,2);
INSERT INTO "tallies" VALUES(1,19675,2,2,1);
INSERT INTO "tallies" VALUES(2,1229,1,1,2);
INSERT INTO "tallies" VALUES(2,1229,2,2,1);
INSERT INTO "tallies" VALUES(3,76,1,1,2);
INSERT INTO "tallies" VALUES(3,76,2,2,1);
CREATE TABLE tally_log (
	hour INTEGER NOT NULL, 
	item_key INTEGER NOT NULL, 
	kind SMALLINT NOT NULL, 
	n INTEGER NOT NULL
);
CREATE TABLE users (
	user_key INTEGER NOT NULL, 
	user_id BLOB NOT NULL, 
	properties TEXT, 
	PRIMARY KEY (user_key), 
	CONSTRAINT users_by_id UNIQUE (user_id)
);
INSERT INTO "users" VALUES(1,X'616E6E61','{"age":30}');
INSERT INTO "users" VALUES(2,X'626F62',NULL);
CREATE INDEX answers_by_user ON answers (user_id);
CREATE UNIQUE INDEX events_by_id ON events (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX events_by_item ON events (item_key, sequence);
CREATE INDEX events_by_user ON events (user_key, time, sequence, item_key, kind, value);
COMMIT;
