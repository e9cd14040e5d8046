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

#define FILE_KEY	8	/* CFG_FILE's kind; the other is 9 */
#define NAME_MAX_	96	/* octets of a file's name in a message */
#define WHY_MAX		512
#define DER_MAX		8192

/* A certificate; its key is in the signer. */
struct half {
	char		 key[NAME_MAX_];	/* files; "" if missing */
	char		 cert[NAME_MAX_];
	char		*pem;
	size_t		 n;
};

struct pairs {
	struct signer	*signer;	/* staged; NULL: nothing is */
	struct half	 half[SIGNER_MAX];
	char		 why[WHY_MAX];	/* the first fault; "" if none */
	char		 self[256];	/* host that was asked for */
	struct signer	*made;		/* has SIGNER_SELF, for host */
	char		 host[256];
	uint8_t		 der[DER_MAX];
	size_t		 nder;
};

struct pairs *
pairs_new(void)
{
	struct pairs *p;

	p = xcalloc(1, sizeof(*p));
	p->made = signer_new();
	return p;
}

static void
clear(struct pairs *p)
{
	size_t i;

	for (i = 0; i < SIGNER_MAX; i++)
		free(p->half[i].pem);
	memset(p->half, 0, sizeof(p->half));
	signer_free(p->signer);
	p->signer = NULL;
	p->why[0] = '\0';
}

void
pairs_free(struct pairs *p)
{
	if (p == NULL)
		return;
	clear(p);
	signer_free(p->made);
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
		(void)strlcpy(p->half[number].key, name, NAME_MAX_);
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
	(void)strlcpy(h->cert, name, NAME_MAX_);
}

void
pairs_file(struct pairs *p, const struct m_cfg_file *f, int fd)
{
	struct secret *text;
	char name[NAME_MAX_];
	ssize_t n;

	if (p->signer == NULL)
		return;
	(void)strlcpy(name, log_vis(f->name), sizeof(name));
	if (f->number == 0 || f->number > SIGNER_PAIRS) {
		fault(p, name, "one pair too many");
		return;
	}
	text = secret_new(SIGNER_PEM_MAX + 1);
	n = file_read(fd, secret_data(text), SIGNER_PEM_MAX + 1);
	if (n == -1)
		fault(p, name, strerror(errno));
	else if (n > SIGNER_PEM_MAX)
		fault(p, name, "more than 65536 octets");
	else if (f->kind == FILE_KEY)
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
	char why[128], both[2 * NAME_MAX_];

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
	if (p->self[0] == '\0')
		return;
	if (strcmp(p->self, p->host) != 0) {
		p->nder = signer_self(p->made, p->self, now, p->der,
		    sizeof(p->der));
		if (p->nder == 0) {
			fault(p, p->self, "no certificate can be made of it");
			return;
		}
		(void)strlcpy(p->host, p->self, sizeof(p->host));
		log_info("made a self-signed certificate host=%s", p->host);
	}
	signer_share_self(p->made, p->signer);
}

bool
pairs_check(struct pairs *p, int64_t now, char *why, size_t whylen)
{
	unsigned int i;

	if (p->signer == NULL) {
		(void)snprintf(why, whylen, "no configuration came");
		return false;
	}
	for (i = 1; i <= SIGNER_PAIRS; i++)
		check_half(p, i);
	make_self(p, now);
	if (p->why[0] == '\0')
		return true;
	(void)strlcpy(why, p->why, whylen);
	return false;
}

void
pairs_commit(struct pairs *p, struct keyd *k)
{
	if (p->signer == NULL)
		return;
	keyd_signer(k, p->signer, p->der, p->self[0] == '\0' ? 0 : p->nder);
	p->signer = NULL;
	clear(p);
}
