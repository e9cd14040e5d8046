#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/str.h"
#include "keyd/pairs.h"
#include "keyd/signer.h"
#include "keyd/store.h"

#define SHOWN_MAX	96	/* octets of a file's name in a message */
#define WHY_MAX		512
#define DER_MAX		8192

/* A certificate; its key is in the signer. */
struct half {
	char		 key[SHOWN_MAX];	/* files; "" if missing */
	char		 cert[SHOWN_MAX];
	char		*pem;
	size_t		 n;
};

/* A certificate signed by itself. */
struct self {
	struct signer	*signer;	/* has TLSKEY_SELF; NULL: none made */
	char		 host[256];
	uint8_t		 der[DER_MAX];
	size_t		 nder;
};

struct pairs {
	struct signer	*signer;	/* staged; NULL: nothing is */
	struct half	 half[TLSKEY_MAX];
	char		 why[WHY_MAX];	/* the first fault; "" if none */
	char		 self[256];	/* host that was asked for */
	struct self	 made;		/* in force; it may stay */
	struct self	 next;		/* staged, if it is not that one */
};

struct pairs *
pairs_new(void)
{
	return xcalloc(1, sizeof(struct pairs));
}

static void
self_clear(struct self *s)
{
	signer_free(s->signer);
	memset(s, 0, sizeof(*s));
}

static void
clear(struct pairs *p)
{
	size_t i;

	for (i = 0; i < TLSKEY_MAX; i++)
		free(p->half[i].pem);
	memset(p->half, 0, sizeof(p->half));
	signer_free(p->signer);
	p->signer = NULL;
	self_clear(&p->next);
	p->why[0] = '\0';
}

void
pairs_free(struct pairs *p)
{
	if (p == NULL)
		return;
	clear(p);
	self_clear(&p->made);
	free(p);
}

void
pairs_begin(struct pairs *p, struct slice self)
{
	clear(p);
	p->signer = signer_new();
	slice_copy(p->self, sizeof(p->self), self);
}

static void
fault(struct pairs *p, const char *name, const char *why)
{
	if (p->why[0] == '\0')
		(void)snprintf(p->why, sizeof(p->why), "%s: %s", name, why);
}

static void
take_key(struct pairs *p, unsigned int number, const char *name,
    const char *pem, size_t n)
{
	char why[128];

	if (!signer_add(p->signer, number, pem, n, why, sizeof(why)))
		fault(p, name, why);
	else
		(void)strlcpy(p->half[number].key, name, SHOWN_MAX);
}

static void
take_cert(struct pairs *p, unsigned int number, const char *name,
    const char *pem, size_t n)
{
	struct half *h = &p->half[number];

	free(h->pem);
	h->pem = xmalloc(n);
	memcpy(h->pem, pem, n);
	h->n = n;
	(void)strlcpy(h->cert, name, SHOWN_MAX);
}

void
pairs_file(struct pairs *p, const struct m_cfg_file *f, int fd)
{
	struct secret *text;
	char name[SHOWN_MAX];
	ssize_t n;

	if (p->signer == NULL)
		return;
	(void)strlcpy(name, log_vis(f->name), sizeof(name));
	if (f->number == 0 || f->number > TLSKEY_PAIRS) {
		fault(p, name, "one pair too many");
		return;
	}
	text = secret_new(SIGNER_PEM_MAX + 1);
	n = file_read(fd, secret_data(text), SIGNER_PEM_MAX + 1);
	if (n == -1)
		fault(p, name, strerror(errno));
	else if (n > SIGNER_PEM_MAX)
		fault(p, name, "more than 65536 octets");
	else if (f->kind == FILE_TLS_KEY)
		take_key(p, f->number, name, (char *)secret_data(text),
		    (size_t)n);
	else
		take_cert(p, f->number, name, (char *)secret_data(text),
		    (size_t)n);
	secret_free(text);
}

static void
check_half(struct pairs *p, unsigned int number)
{
	const struct half *h = &p->half[number];
	char why[128], both[2 * SHOWN_MAX];

	if (h->key[0] == '\0' && h->cert[0] == '\0')
		return;
	if (h->cert[0] == '\0') {
		fault(p, h->key, "its certificate did not come");
		return;
	}
	if (h->key[0] == '\0') {
		fault(p, h->cert, "its key did not come");
		return;
	}
	if (signer_fits(p->signer, number, h->pem, h->n, why, sizeof(why)))
		return;
	(void)snprintf(both, sizeof(both), "%s and %s", h->cert, h->key);
	fault(p, both, why);
}

/* The same key as long as the host is the same: clients may have pinned it. */
static void
make_self(struct pairs *p, int64_t now)
{
	struct self *s = &p->next;

	if (p->self[0] == '\0')
		return;
	if (strcmp(p->self, p->made.host) == 0) {
		signer_share_self(p->made.signer, p->signer);
		return;
	}
	self_clear(s);
	s->signer = signer_new();
	s->nder = signer_self(s->signer, p->self, now, s->der, sizeof(s->der));
	if (s->nder == 0) {
		fault(p, p->self, "no certificate can be made of it");
		return;
	}
	(void)strlcpy(s->host, p->self, sizeof(s->host));
	log_info("made a self-signed certificate host=%s", s->host);
	signer_share_self(s->signer, p->signer);
}

bool
pairs_check(struct pairs *p, int64_t now, char *why, size_t whylen)
{
	unsigned int i;

	if (p->signer == NULL) {
		(void)snprintf(why, whylen, "no configuration came");
		return false;
	}
	for (i = 1; i <= TLSKEY_PAIRS; i++)
		check_half(p, i);
	make_self(p, now);
	if (p->why[0] == '\0')
		return true;
	(void)strlcpy(why, p->why, whylen);
	return false;
}

struct signer *
pairs_staged(struct pairs *p)
{
	return p->signer;
}

void
pairs_commit(struct pairs *p, struct keyd *k, uint32_t epoch)
{
	if (p->signer == NULL)
		return;
	if (p->next.signer != NULL) {
		self_clear(&p->made);
		p->made = p->next;
		memset(&p->next, 0, sizeof(p->next));
	} else if (p->self[0] == '\0')
		self_clear(&p->made);
	keyd_signer(k, p->signer, epoch, p->made.der, p->made.nder);
	p->signer = NULL;
	clear(p);
}
