#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/child.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/noise.h"
#include "common/secret.h"
#include "common/str.h"
#include "keyd/acme.h"
#include "keyd/keyd.h"
#include "keyd/pairs.h"
#include "keyd/store.h"

/* Octets for OpenSSL's private keys: locked like all our secrets. */
#define OPENSSL_HEAP	(256 * 1024)

#define SLOTS		65	/* of workers, from 1 */

struct keyd_main {
	struct child		*child;
	struct keyd		*core;		/* from the first stage on */
	struct secret		*key;		/* until the core has them */
	struct secret		*relay;
	struct secret		*boot;
	struct pairs		*pairs;
	EVP_PKEY		*account;	/* of ACME; NULL: none came */
	EVP_PKEY		*acme_cert;
	struct buf		 acme_conf;	/* encoded record, staged */
	struct acme		*acme;		/* staged; NULL: none */
	struct keyd_conf	 staged;
	uint32_t		 epoch;		/* of staged; 0: none */
	uint64_t		 generation;
	struct msg		*early;		/* links before the core */
	size_t			 nearly;
	struct link		*acme_link;	/* NULL: down */
	struct link		*key_link[SLOTS];	/* the last of each */
	struct link		*sig_link[SLOTS];
};

/* It is down. */
static void
forget(struct link **of, const struct link *l)
{
	if (of[link_slot(l)] == l)
		of[link_slot(l)] = NULL;
}

/*
 * A worker has one of each kind: what it had is closed when another one comes,
 * or it could gather them.  That of the process before it ends by itself.
 */
static struct link *
replaced(struct link **of, struct link *l)
{
	struct link *old = of[link_slot(l)];

	of[link_slot(l)] = l;
	return old != NULL && link_generation(old) == link_generation(l) ?
	    old : NULL;
}

static void
on_key_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct keyd_main *km = arg;

	(void)tag;
	if (keyd_msg(km->core, l, m) == -1)
		link_violation(l, LINK_BAD_ID);
}

static void
on_key_down(struct link *l, enum link_why why, void *arg)
{
	struct keyd_main *km = arg;

	forget(km->key_link, l);
	keyd_down(km->core, l);
	child_blame(km->child, l, why);
	link_free(l);
}

static void
on_sig_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct keyd_main *km = arg;

	(void)tag;
	if (keyd_sig_msg(km->core, l, m) == -1)
		link_violation(l, LINK_BAD_ID);
}

static void
on_sig_down(struct link *l, enum link_why why, void *arg)
{
	struct keyd_main *km = arg;

	forget(km->sig_link, l);
	child_blame(km->child, l, why);
	link_free(l);
}

static void
on_acme_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct keyd_main *km = arg;

	(void)tag;
	if (keyd_acme_msg(km->core, l, m) == -1)
		link_violation(l, LINK_BAD_ID);
}

static void
on_acme_down(struct link *l, enum link_why why, void *arg)
{
	struct keyd_main *km = arg;

	if (km->acme_link == l) {
		km->acme_link = NULL;
		keyd_acme_link(km->core, NULL);
	}
	child_blame(km->child, l, why);
	link_free(l);
}

static void
link_open(struct keyd_main *km, const struct msg *m)
{
	struct link_conf conf;
	struct link *l, *old;

	memset(&conf, 0, sizeof(conf));
	conf.arg = km;
	switch (m->u.cfg_link.link) {
	case LINK_SIG:
		conf.on_msg = on_sig_msg;
		conf.on_down = on_sig_down;
		l = child_link(km->child, m, &conf);
		link_free(replaced(km->sig_link, l));
		break;
	case LINK_ACME:
		conf.on_msg = on_acme_msg;
		conf.on_down = on_acme_down;
		l = child_link(km->child, m, &conf);
		link_free(km->acme_link);
		km->acme_link = l;
		keyd_acme_link(km->core, l);
		break;
	default:
		conf.on_msg = on_key_msg;
		conf.on_down = on_key_down;
		l = child_link(km->child, m, &conf);
		if ((old = replaced(km->key_link, l)) != NULL) {
			keyd_down(km->core, old);
			link_free(old);
		}
		keyd_up(km->core, l);
	}
}

/*
 * Without the core nobody could answer: what a worker sends meanwhile waits
 * in its socket.
 */
static void
take_link(struct keyd_main *km, const struct msg *m)
{
	bool worker = m->u.cfg_link.link == LINK_KEY ||
	    m->u.cfg_link.link == LINK_SIG;

	if ((!worker && m->u.cfg_link.link != LINK_ACME) ||
	    m->u.cfg_link.role != (worker ? ROLE_WORKER : ROLE_DBD))
		fatalx("link of kind %u to role %u", m->u.cfg_link.link,
		    m->u.cfg_link.role);
	if (worker && m->u.cfg_link.slot >= SLOTS)
		fatalx("link to a worker in slot %u", m->u.cfg_link.slot);
	if (km->core != NULL) {
		link_open(km, m);
		return;
	}
	km->early = xrealloc(km->early, km->nearly + 1, sizeof(*km->early));
	km->early[km->nearly++] = *m;
}

/* A new key: it is the caller's, and master puts its file into place. */
static struct secret *
make_key(struct keyd_main *km, int fd, unsigned int kind, const char *name)
{
	uint8_t pub[NOISE_KEY];
	struct secret *key;
	struct msg made;
	char why[128];

	key = keyfile_make(fd, ev_env(child_ev(km->child)), why, sizeof(why));
	if (key == NULL)
		fatalx("%s: cannot make the key: %s", name, why);
	noise_public(pub, secret_data(key));
	msg_init(&made, M_CFG_KEY_MADE);
	made.u.cfg_key_made.kind = (uint8_t)kind;
	memcpy(made.u.cfg_key_made.public, pub, sizeof(pub));
	link_send(child_cfg(km->child), &made);
	log_info("new key made file=%s public=%s", name, log_key(pub));
	return key;
}

static struct secret *
take_key(struct keyd_main *km, const struct msg *m, bool make)
{
	const char *name = log_vis(m->u.cfg_file.name);
	struct secret *key;
	char why[128];

	if (make)
		return make_key(km, m->fd, m->u.cfg_file.kind, name);
	if ((key = keyfile_read(m->fd, why, sizeof(why))) == NULL)
		fatalx("%s: %s", name, why);
	return key;
}

/* Likewise of a key in PEM. */
static EVP_PKEY *
take_pem(struct keyd_main *km, const struct msg *m, bool make)
{
	const char *name = log_vis(m->u.cfg_file.name);
	struct msg made;
	EVP_PKEY *key;
	char why[128];

	key = make ? pemfile_make(m->fd, why, sizeof(why)) :
	    pemfile_read(m->fd, why, sizeof(why));
	if (key == NULL)
		fatalx("%s: %s", name, why);
	if (!make)
		return key;
	msg_init(&made, M_CFG_KEY_MADE);
	made.u.cfg_key_made.kind = m->u.cfg_file.kind;
	link_send(child_cfg(km->child), &made);
	log_info("new key made file=%s", name);
	return key;
}

/* A key in use stays: another one would strand running clients. */
static void
take_file(struct keyd_main *km, const struct msg *m)
{
	const struct m_cfg_file *f = &m->u.cfg_file;

	switch (f->kind) {
	case FILE_KEY:
	case FILE_KEY_NEW:
		if (km->core == NULL && km->key == NULL)
			km->key = take_key(km, m, f->kind == FILE_KEY_NEW);
		break;
	case FILE_DERP_KEY:
	case FILE_DERP_KEY_NEW:
		if (km->relay == NULL && (km->core == NULL ||
		    keyd_relay_public(km->core) == NULL))
			km->relay = take_key(km, m,
			    f->kind == FILE_DERP_KEY_NEW);
		break;
	case FILE_TLS_KEY:
	case FILE_TLS_CERT:
		pairs_file(km->pairs, f, m->fd);
		break;
	case FILE_ACME_ACCOUNT:
	case FILE_ACME_ACCOUNT_NEW:
		if (km->account == NULL)
			km->account = take_pem(km, m,
			    f->kind == FILE_ACME_ACCOUNT_NEW);
		break;
	case FILE_ACME_KEY:
	case FILE_ACME_KEY_NEW:
		if (km->acme_cert == NULL)
			km->acme_cert = take_pem(km, m,
			    f->kind == FILE_ACME_KEY_NEW);
		break;
	default:
		fatalx("file of kind %u", f->kind);
	}
	(void)close(m->fd);
}

static void
on_stat(struct m_cfg_stat *to, void *arg)
{
	struct keyd_main *km = arg;

	to->counts = *keyd_counters(km->core);
}

static void
on_boot(struct child *c, const struct m_cfg_boot *boot, void *arg)
{
	struct keyd_main *km = arg;

	km->child = c;
	km->generation = boot->generation;
	/* Here, with no rights left, as it will have to work. */
	if (!keyd_selftest())
		fatalx("self-test of the cryptography failed");
	child_title(c, "key exchange");
}

static void
unstage(struct keyd_main *km, struct slice self)
{
	if (km->core != NULL)
		keyd_signer_next(km->core, NULL, 0);
	pairs_begin(km->pairs, self);
}

static void
on_cfg(struct child *c, const struct msg *m, void *tag, void *arg)
{
	struct keyd_main *km = arg;
	uint8_t boot[32];

	(void)c;
	(void)tag;
	switch (m->type) {
	case M_CFG_SECRET:
		memcpy(boot, m->u.cfg_secret.secret, sizeof(boot));
		secret_free(km->boot);
		km->boot = secret_take(boot, sizeof(boot));
		break;
	case M_CFG_CONF_KEYD:
		km->staged.pending_max = m->u.cfg_conf_keyd.pending_max;
		km->staged.pending_ms = m->u.cfg_conf_keyd.pending_ms;
		km->epoch = m->u.cfg_conf_keyd.epoch;
		unstage(km, m->u.cfg_conf_keyd.self_signed);
		buf_clear(&km->acme_conf);
		msg_rec_encode(&km->acme_conf, MR_ACME,
		    &m->u.cfg_conf_keyd.acme);
		break;
	case M_CFG_FILE:
		take_file(km, m);
		break;
	case M_CFG_LINK:
		take_link(km, m);
		break;
	default:
		child_drop(m);
		break;
	}
}

static void
make_core(struct keyd_main *km)
{
	km->core = keyd_new(ev_env(child_ev(km->child)), &km->staged, km->key,
	    km->boot, km->generation);
	km->key = km->boot = NULL;
	if (km->core == NULL)
		fatalx("the Noise key is of no use");
}

/* With all that is to be said first (KEY_CERT) in place. */
static void
open_early(struct keyd_main *km)
{
	size_t i;

	for (i = 0; i < km->nearly; i++)
		link_open(km, &km->early[i]);
	free(km->early);
	km->early = NULL;
	km->nearly = 0;
}

/* From the core on, the relay's key is there to stay. */
static bool
take_relay(struct keyd_main *km, char *why, size_t whylen)
{
	struct secret *key = km->relay;
	const char *wrong;

	km->relay = NULL;
	if (key == NULL || keyd_relay(km->core, key, &wrong))
		return true;
	(void)snprintf(why, whylen, "the relay's key file: %s", wrong);
	return false;
}

/* What keyd does for ACME is made of the names that were staged. */
static bool
stage_acme(struct keyd_main *km, char *why, size_t whylen)
{
	struct r_acme conf;

	acme_free(km->acme);
	km->acme = NULL;
	if (msg_rec_decode(&conf, MR_ACME, km->acme_conf.p,
	    km->acme_conf.n) == -1)
		fatalx("own copy does not decode");
	if (conf.names.count == 0)
		return true;
	if (km->account == NULL || km->acme_cert == NULL) {
		(void)snprintf(why, whylen, "no keys for ACME came");
		return false;
	}
	(void)EVP_PKEY_up_ref(km->account);
	(void)EVP_PKEY_up_ref(km->acme_cert);
	km->acme = acme_new(km->account, km->acme_cert, &conf, why, whylen);
	return km->acme != NULL;
}

static void
commit_acme(struct keyd_main *km)
{
	if (km->acme != NULL)
		(void)EVP_PKEY_up_ref(km->acme_cert);
	keyd_acme(km->core, km->acme, km->acme == NULL ? NULL :
	    km->acme_cert);
	km->acme = NULL;
}

static bool
on_stage(struct child *c, uint32_t epoch, char *why, size_t whylen, void *arg)
{
	struct keyd_main *km = arg;
	const char *wrong = NULL;
	bool ok;

	if (km->epoch != epoch)
		wrong = "no configuration came";
	else if (km->staged.pending_max == 0 || km->staged.pending_ms == 0)
		wrong = "a bound of 0 lets no handshake through";
	else if (km->core == NULL && (km->key == NULL || km->boot == NULL))
		wrong = "no Noise key or no boot secret came";
	if (wrong != NULL) {
		(void)snprintf(why, whylen, "%s", wrong);
		return false;
	}
	if (!pairs_check(km->pairs, env_wall(ev_env(child_ev(c))), why,
	    whylen))
		return false;
	if (!stage_acme(km, why, whylen))
		return false;
	if (km->core != NULL) {
		keyd_signer_next(km->core, pairs_staged(km->pairs), epoch);
		return take_relay(km, why, whylen);
	}
	make_core(km);
	if ((ok = take_relay(km, why, whylen))) {
		pairs_commit(km->pairs, km->core, epoch);
		commit_acme(km);
	}
	open_early(km);
	return ok;
}

static void
on_commit(struct child *c, uint32_t epoch, void *arg)
{
	struct keyd_main *km = arg;

	(void)c;
	if (km->epoch != epoch)
		return;
	keyd_reconf(km->core, &km->staged);
	pairs_commit(km->pairs, km->core, epoch);
	commit_acme(km);
}

static void
on_discard(struct child *c, uint32_t epoch, void *arg)
{
	struct keyd_main *km = arg;

	(void)c;
	if (km->epoch != epoch)
		return;
	km->epoch = 0;
	unstage(km, slice_str(""));
}

static void
on_start(struct child *c, void *arg)
{
	struct keyd_main *km = arg;

	(void)c;
	log_info("ready public=%s", log_key(keyd_public(km->core)));
}

static void
on_stop(struct child *c, void *arg)
{
	struct keyd_main *km = arg;

	keyd_free(km->core);
	secret_free(km->key);
	secret_free(km->relay);
	secret_free(km->boot);
	pairs_free(km->pairs);
	EVP_PKEY_free(km->account);
	EVP_PKEY_free(km->acme_cert);
	acme_free(km->acme);
	buf_free(&km->acme_conf);
	child_exit(c);
}

/* One operation, then a look at the links: no worker waits for another. */
static void
on_turn(void *arg)
{
	struct keyd_main *km = arg;

	if (km->core != NULL && keyd_turn(km->core))
		ev_again(child_ev(km->child));
}

static const struct child_ops ops = {
	.role = ROLE_KEYD,
	.name = "headscaled-keyd",
	.on_boot = on_boot,
	.on_cfg = on_cfg,
	.on_stage = on_stage,
	.on_commit = on_commit,
	.on_discard = on_discard,
	.on_start = on_start,
	.on_stop = on_stop,
	.on_turn = on_turn,
	.on_stat = on_stat
};

int
main(int argc, char **argv)
{
	static struct keyd_main km;

	/* While files can still be opened: OpenSSL may want its own. */
	if (noise_init() == -1)
		fatalx("the libraries lack an algorithm of Noise");
	(void)CRYPTO_secure_malloc_init(OPENSSL_HEAP, 16);
	km.pairs = pairs_new();
	child_main(&ops, argc, argv, &km);
}
