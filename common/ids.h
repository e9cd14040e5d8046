/* Numbers that several processes must mean the same by. */

#ifndef COMMON_IDS_H
#define COMMON_IDS_H

/* Clients keep ids in JSON numbers (protocol.md 2.2). */
#define ID_MAX		((1ULL << 53) - 1)

/*
 * The owner of all tagged nodes, as clients see it (protocol.md 2.4); on
 * links a tagged node's owner is 0.
 */
#define USER_TAGGED		ID_MAX
#define USER_TAGGED_LOGIN	"tagged-devices"
#define USER_TAGGED_NAME	"Tagged Devices"

/*
 * No key expires from then on (2200): Go's durations end after 292 years, and
 * clients that count to a later end count without pause.
 */
#define EXPIRY_END		7258118400LL

/* The database, in dbd's own folder. */
#define DB_FILE			"headscaled.db"

/* DB_LITE_NO's status: to be asked again later. */
#define LITE_LATER		503

/* What a user is besides a member (policy.md 4.1: an owner is an admin too). */
enum user_role {
	USER_MEMBER = 0,
	USER_ADMIN = 1,
	USER_OWNER = 2
};

/* How a process is, as master tells it (CFG_CTL_ROW). */
enum proc_health {
	HEALTH_DOWN = 0,
	HEALTH_STARTING = 1,
	HEALTH_READY = 2,
	HEALTH_FULL = 3,	/* ready, but accepts no connection for now */
	HEALTH_SILENT = 4	/* it does not answer master */
};

/* CFG_FILE's kinds; _NEW: an empty file to make a key in. */
enum file_kind {
	FILE_KEY = 1,			/* of Noise */
	FILE_KEY_NEW = 2,
	FILE_DERP_MAP = 3,
	FILE_RECORDS = 4,
	FILE_POLICY = 5,
	FILE_DERP_KEY = 6,		/* the relay's */
	FILE_DERP_KEY_NEW = 7,
	FILE_TLS_KEY = 8,
	FILE_TLS_CERT = 9,
	FILE_ACME_ACCOUNT = 10,
	FILE_ACME_ACCOUNT_NEW = 11,
	FILE_ACME_KEY = 12,		/* of the certificate had by ACME */
	FILE_ACME_KEY_NEW = 13
};

/* Numbers of TLS keys: keyd has the keys, workers name them. */
#define TLSKEY_MAX	32
#define TLSKEY_PAIRS	26		/* 1 to this: CFG_FILE's number */
#define TLSKEY_ALPN	27		/* the first of tls-alpn-01, */
#define TLSKEY_ALPNS	4		/* and how many there are */
#define TLSKEY_ACME	31		/* of the certificate had by ACME */
#define TLSKEY_SELF	32		/* of the one signed by itself */
/*
 * SIG_SIGN's key: the number; above it, for those from files, what fits of the
 * epoch that they came with.
 */
#define TLSKEY_EPOCH(key)	((unsigned int)(key) >> 6)
#define TLSKEY_NUMBER(key)	((unsigned int)(key) & 0x3f)
#define TLSKEY_EPOCH_MASK	0x3ffU
#define TLSKEY_OF(epoch, number) \
	(((unsigned int)(epoch) & TLSKEY_EPOCH_MASK) << 6 | \
	TLSKEY_NUMBER(number))

#endif
