BEGIN TRANSACTION;
CREATE TABLE delivery (
    series TEXT NOT NULL, generation INTEGER NOT NULL, destination TEXT NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, reason TEXT,
    PRIMARY KEY (series, generation, destination)
) STRICT;
INSERT INTO "delivery" VALUES('half',1,'archive','pending',1,'destination archive: the association broke off');
INSERT INTO "delivery" VALUES('half',1,'copies','delivered',1,NULL);
INSERT INTO "delivery" VALUES('untouched',1,'archive','pending',0,NULL);
INSERT INTO "delivery" VALUES('untouched',1,'copies','pending',0,NULL);
INSERT INTO "delivery" VALUES('delivered',1,'archive','delivered',1,NULL);
INSERT INTO "delivery" VALUES('delivered',1,'copies','delivered',1,NULL);
INSERT INTO "delivery" VALUES('refused',1,'archive','refused',1,'destination archive refused 1 instances, status 0xC000');
INSERT INTO "delivery" VALUES('refused',1,'copies','delivered',1,NULL);
CREATE TABLE instance (
    series TEXT NOT NULL, generation INTEGER NOT NULL,
    instance TEXT NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (series, instance, digest)
) STRICT;
INSERT INTO "instance" VALUES('half',1,'a','halfa');
INSERT INTO "instance" VALUES('half',1,'b','halfb');
INSERT INTO "instance" VALUES('untouched',1,'a','untoucheda');
INSERT INTO "instance" VALUES('untouched',1,'b','untouchedb');
INSERT INTO "instance" VALUES('delivered',1,'a','delivereda');
INSERT INTO "instance" VALUES('delivered',1,'b','deliveredb');
INSERT INTO "instance" VALUES('refused',1,'a','refuseda');
INSERT INTO "instance" VALUES('refused',1,'b','refusedb');
INSERT INTO "instance" VALUES('open',1,'a','d');
CREATE TABLE node (key_fingerprint TEXT NOT NULL);
INSERT INTO "node" VALUES('fingerprint');
CREATE TABLE series (
    series TEXT NOT NULL, generation INTEGER NOT NULL, state TEXT NOT NULL,
    n_instances INTEGER NOT NULL, error TEXT, reason TEXT, error_id TEXT,
    arrived_at REAL NOT NULL, changed_at REAL NOT NULL,
    PRIMARY KEY (series, generation)
) STRICT;
INSERT INTO "series" VALUES('half',1,'ready',2,NULL,NULL,NULL,1000.0,1003.0);
INSERT INTO "series" VALUES('untouched',1,'ready',2,NULL,NULL,NULL,1004.0,1007.0);
INSERT INTO "series" VALUES('delivered',1,'delivered',2,NULL,NULL,NULL,1008.0,1012.0);
INSERT INTO "series" VALUES('refused',1,'held',2,'PeerRefusedInstance','destination archive refused 1 instances, status 0xC000',NULL,1013.0,1017.0);
INSERT INTO "series" VALUES('open',1,'receiving',1,NULL,NULL,NULL,1018.0,1018.0);
CREATE INDEX series_by_state ON series (state);
CREATE INDEX delivery_by_destination ON delivery (destination, state);
COMMIT;
