BEGIN TRANSACTION;
CREATE TABLE blob (
	sha256 TEXT NOT NULL, 
	data BLOB NOT NULL, 
	PRIMARY KEY (sha256)
);
INSERT INTO "blob" VALUES('cc268201cd7af2a7e927bd6e0116c6f8118233bc35d80f89b851510776352ed6',X'E904022F00003840EE0000000500030300C70000000000012000003C000100003254CDAB000000000000000000000000312E312E300000000000000000000000000000000000000000000000000000006C616D700000000000000000000000000000000000000000000000000000000030303A30303A303000000000000000004A616E2020312032303236000000000076362E3100000000000000000000000000000000000000000000000000000000E8CCEA597ACFE2EEC776551C0C68046E3FFEBB410EE58D9ECD5EDE29492567B00000C700100300000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000080C83F20000000A211E00B9282BB741457ECF15DD1C0AD89C444D1C3A01A7A59161D921B1605D5500101426400000040AB8BD27255F905C01EE01D8F846955B6F98C87418339B38003B81EF185EE8E51BC838A6C74B8DB09A19AEA7826946A054D251BBF6CE2E3F1B7A720337A1345DAC0BDF2590A00C65EBFFEE5A03AE4DDA310BA2120EB8ECF71A45836FE9AD8F2CF4CE5E60000384020000000D6B7E0DF1679B432366A863FACB44D8FA0C0312928181ABEAE60D0EE3E4F123A000000722C1B326E6C8E4F081FDFF5B3C01D83F76A0CAE839D7AC5F1984A4C2DDB625AE9');
CREATE TABLE image (
	number INTEGER NOT NULL, 
	ota_image_id TEXT NOT NULL, 
	image_name TEXT NOT NULL, 
	type TEXT NOT NULL, 
	model TEXT NOT NULL, 
	fw_version TEXT NOT NULL, 
	chip TEXT NOT NULL, 
	file_size INTEGER NOT NULL, 
	file_md5 TEXT NOT NULL, 
	file_sha256 TEXT NOT NULL, 
	upload_timestamp INTEGER NOT NULL, 
	archived BOOLEAN NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (ota_image_id), 
	UNIQUE (image_name), 
	FOREIGN KEY(file_sha256) REFERENCES blob (sha256)
);
INSERT INTO "image" VALUES(1,'og4cSFnS4','lamp-1.1.0','lamp','lamp','1.1.0','esp32c3',512,'7a1b937672a7aa7a4b9f99948aa03709','cc268201cd7af2a7e927bd6e0116c6f8118233bc35d80f89b851510776352ed6',1767225600000,0);
CREATE TABLE job (
	number INTEGER NOT NULL, 
	ota_job_id TEXT NOT NULL, 
	ota_job_name TEXT NOT NULL, 
	ota_image_id TEXT NOT NULL, 
	fw_version TEXT NOT NULL, 
	nodes JSON NOT NULL, 
	groups JSON NOT NULL, 
	metadata JSON NOT NULL, 
	description TEXT NOT NULL, 
	priority INTEGER NOT NULL, 
	timeout INTEGER NOT NULL, 
	force_push BOOLEAN NOT NULL, 
	user_approval BOOLEAN NOT NULL, 
	max_fetch_cycles INTEGER NOT NULL, 
	triggered_timestamp INTEGER NOT NULL, 
	deadline INTEGER NOT NULL, 
	cancelled_timestamp INTEGER, 
	archived BOOLEAN NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (ota_job_id)
);
INSERT INTO "job" VALUES(1,'QoaGA40uoLu8G90XLWoHI4','job','og4cSFnS4','1.1.0','["n1", "n2"]','[]','{}','',5,1296000,0,0,3,1767225600000,1768521600000,NULL,0);
CREATE TABLE job_node (
	job INTEGER NOT NULL, 
	node_id TEXT NOT NULL, 
	status TEXT NOT NULL, 
	additional_info TEXT NOT NULL, 
	timestamp INTEGER NOT NULL, 
	approved BOOLEAN NOT NULL, 
	closed BOOLEAN NOT NULL, 
	failed_cycles INTEGER NOT NULL, 
	failing BOOLEAN NOT NULL, 
	PRIMARY KEY (job, node_id), 
	FOREIGN KEY(job) REFERENCES job (number)
);
INSERT INTO "job_node" VALUES(1,'n1','success','OTA Upgrade finished and verified successfully',1767225600000,0,1,0,0);
INSERT INTO "job_node" VALUES(1,'n2','triggered','',1767225600000,0,0,0,0);
CREATE TABLE mapping_request (
	request_id TEXT NOT NULL, 
	node_id TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	confirmed BOOLEAN NOT NULL, 
	requested_timestamp INTEGER NOT NULL, 
	PRIMARY KEY (request_id)
);
CREATE TABLE node (
	node_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	type TEXT NOT NULL, 
	model TEXT NOT NULL, 
	fw_version TEXT NOT NULL, 
	config JSON, 
	params JSON, 
	metadata JSON NOT NULL, 
	connected BOOLEAN NOT NULL, 
	connectivity_timestamp INTEGER NOT NULL, 
	registration_timestamp INTEGER NOT NULL, 
	PRIMARY KEY (node_id)
);
INSERT INTO "node" VALUES('n1','Lamp','Lightbulb','lamp','1.0.0','{"node_id": "n1", "config_version": "2020-03-20", "info": {"name": "Lamp", "fw_version": "1.0.0", "type": "Lightbulb", "model": "lamp", "project_name": "lamp", "platform": "esp32c3"}}','{}','{}',1,1767225600000,1767225600);
INSERT INTO "node" VALUES('n2','Lamp','Lightbulb','lamp','1.0.0','{"node_id": "n2", "config_version": "2020-03-20", "info": {"name": "Lamp", "fw_version": "1.0.0", "type": "Lightbulb", "model": "lamp", "project_name": "lamp", "platform": "esp32c3"}}','{}','{}',1,1767225600000,1767225600);
CREATE TABLE node_tag (
	node_id TEXT NOT NULL, 
	tag TEXT NOT NULL, 
	PRIMARY KEY (node_id, tag), 
	FOREIGN KEY(node_id) REFERENCES node (node_id)
);
INSERT INTO "node_tag" VALUES('n1','room:kitchen');
CREATE TABLE node_user (
	node_id TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	mapping_timestamp INTEGER NOT NULL, 
	PRIMARY KEY (node_id, user_id), 
	FOREIGN KEY(node_id) REFERENCES node (node_id)
);
INSERT INTO "node_user" VALUES('n1','localadmin',1767225600);
INSERT INTO "node_user" VALUES('n2','localadmin',1767225600);
CREATE TABLE report (
	number INTEGER NOT NULL, 
	job INTEGER NOT NULL, 
	node_id TEXT NOT NULL, 
	by_node BOOLEAN NOT NULL, 
	status TEXT NOT NULL, 
	additional_info TEXT NOT NULL, 
	timestamp INTEGER NOT NULL, 
	ts INTEGER, 
	PRIMARY KEY (number), 
	FOREIGN KEY(job) REFERENCES job (number)
);
INSERT INTO "report" VALUES(1,1,'n1',0,'triggered','',1767225600000,NULL);
INSERT INTO "report" VALUES(2,1,'n2',0,'triggered','',1767225600000,NULL);
INSERT INTO "report" VALUES(3,1,'n1',0,'started','OTA URL Sent to Node',1767225600000,NULL);
INSERT INTO "report" VALUES(4,1,'n1',1,'in-progress','Downloading',1767225600000,5);
INSERT INTO "report" VALUES(5,1,'n1',1,'success','OTA Upgrade finished and verified successfully',1767225600000,5);
CREATE TABLE session (
	session_id TEXT NOT NULL, 
	user_id TEXT NOT NULL, 
	PRIMARY KEY (session_id), 
	FOREIGN KEY(user_id) REFERENCES user (user_id)
);
INSERT INTO "session" VALUES('Xj1CmgxhW5nU5ZCcn1fkdq','localadmin');
CREATE TABLE setting (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "setting" VALUES('token_key','38b4e652e44da7f2370d9e260e27136550a4a3a6d07f5c0c332f8b1224083fd2');
INSERT INTO "setting" VALUES('link_key','7504d90e945de2e8f54ee781cc75f636d85099095aa300165a67036f9b540d6b');
CREATE TABLE upload (
	ota_image_id TEXT NOT NULL, 
	image_name TEXT NOT NULL, 
	expires INTEGER NOT NULL, 
	data BLOB, 
	PRIMARY KEY (ota_image_id)
);
CREATE TABLE user (
	user_id TEXT NOT NULL, 
	user_name TEXT NOT NULL, 
	password TEXT NOT NULL, 
	admin BOOLEAN NOT NULL, 
	verified BOOLEAN NOT NULL, 
	code TEXT, 
	code_expires INTEGER NOT NULL, 
	code_tries INTEGER NOT NULL, 
	PRIMARY KEY (user_id), 
	UNIQUE (user_name)
);
INSERT INTO "user" VALUES('localadmin','admin@example.com','scrypt$2$8f0be21124179c3dd9f73817ce6e118d$50e74676fd739cc596699e2e2a3cd2d41e2cf77b91016c2a342be28ee3782b4b',1,1,NULL,0,0);
CREATE INDEX ix_node_connected ON node (connected);
CREATE INDEX ix_node_type ON node (type);
CREATE INDEX ix_mapping_request_node_id ON mapping_request (node_id);
CREATE INDEX ix_job_deadline ON job (deadline);
CREATE INDEX ix_job_ota_image_id ON job (ota_image_id);
CREATE INDEX ix_session_user_id ON session (user_id);
CREATE INDEX ix_node_tag_tag ON node_tag (tag);
CREATE INDEX ix_node_user_user_id ON node_user (user_id);
CREATE INDEX ix_image_file_sha256 ON image (file_sha256);
CREATE INDEX job_node_open ON job_node (node_id, closed);
CREATE INDEX report_of ON report (job, node_id);
COMMIT;
