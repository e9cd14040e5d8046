/*
 * What a worker does for ACME: it answers challenges (RFC 8555 8.3, RFC 8737)
 * and shows the certificate.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ip.h"
#include "common/log.h"
#include "worker/control/derp_int.h"

#define CHALLENGES_MAX	64
#define HTTP_01		1
#define TLS_ALPN_01	2
#define REVERSE		80	/* 32 digits and dots, ip6.arpa */
#define PATH		"/.well-known/acme-challenge/"

struct challenge {
	TAILQ_ENTRY(challenge)	 all;
	uint8_t			 kind;
	char			 name[254];
	char			 token[256];
	char			 thumbprint[65];
	uint16_t		 key;
	struct buf		 der;
};

struct acme {
	TAILQ_HEAD(, challenge)	 challenges;
	unsigned int		 n;
	uint16_t		 key;
	struct buf		 chain;		/* PEM; empty: none */
};

/* For an address the CA asks by its name in the reverse tree (RFC 8738 6). */
static const char *
asked_by(const struct challenge *ch, char text[REVERSE])
{
	struct ip ip;
	size_t n = 0;
	int i;

	if (!ip_parse(&ip, slice_str(ch->name)))
		return ch->name;
	for (i = ip.family == 4 ? 3 : 15; i >= 0; i--)
		n += (size_t)(ip.family == 4 ?
		    snprintf(text + n, REVERSE - n, "%u.",
		    (unsigned int)ip.b[i]) :
		    snprintf(text + n, REVERSE - n, "%x.%x.", ip.b[i] & 15U,
		    (unsigned int)ip.b[i] >> 4));
	(void)snprintf(text + n, REVERSE - n, "%s",
	    ip.family == 4 ? "in-addr.arpa" : "ip6.arpa");
	return text;
}

static void
show(struct control *c, const struct challenge *ch)
{
	char text[REVERSE], why[128];

	if (ch->kind == TLS_ALPN_01 && c->tls != NULL &&
	    tls_add_alpn(c->tls, asked_by(ch, text), ch->key, ch->der.p,
	    ch->der.n, why, sizeof(why)) == -1)
		log_warnx("challenge for %s: %s", log_vis(slice_str(ch->name)),
		    why);
}

static void
challenge_free(struct control *c, struct challenge *ch)
{
	const struct challenge *other, *left = NULL;
	char text[REVERSE];

	TAILQ_REMOVE(&c->acme->challenges, ch, all);
	c->acme->n--;
	TAILQ_FOREACH(other, &c->acme->challenges, all)
		if (other->kind == TLS_ALPN_01 &&
		    strcmp(other->name, ch->name) == 0)
			left = other;
	if (ch->kind == TLS_ALPN_01 && c->tls != NULL) {
		tls_del_alpn(c->tls, asked_by(ch, text));
		/* Another token of the same name is asked for by it, too. */
		if (left != NULL)
			show(c, left);
	}
	buf_free(&ch->der);
	free(ch);
}

static struct challenge *
find(struct acme *a, const struct m_db_challenge *m)
{
	struct challenge *ch;

	TAILQ_FOREACH(ch, &a->challenges, all)
		if (ch->kind == m->kind && slice_eqs(m->name, ch->name) &&
		    slice_eqs(m->token, ch->token))
			return ch;
	return NULL;
}

static int
add(struct control *c, const struct m_db_challenge *m)
{
	struct acme *a = c->acme;
	struct challenge *ch;

	if (a->n >= CHALLENGES_MAX || (m->kind != HTTP_01 &&
	    m->kind != TLS_ALPN_01))
		return -1;
	ch = xcalloc(1, sizeof(*ch));
	ch->kind = m->kind;
	ch->key = m->key;
	if (!slice_copy(ch->name, sizeof(ch->name), m->name) ||
	    !slice_copy(ch->token, sizeof(ch->token), m->token) ||
	    !slice_copy(ch->thumbprint, sizeof(ch->thumbprint),
	    m->thumbprint)) {
		free(ch);
		return -1;
	}
	buf_slice(&ch->der, m->der);
	TAILQ_INSERT_TAIL(&a->challenges, ch, all);
	a->n++;
	/* The first certificate may be for a challenge. */
	if (c->tls == NULL)
		certs_more(c);
	else
		show(c, ch);
	return 0;
}

int
acme_challenge(struct control *c, const struct msg *m)
{
	const struct m_db_challenge *q = &m->u.db_challenge;
	struct challenge *ch;
	struct msg r;

	if ((ch = find(c->acme, q)) != NULL)
		challenge_free(c, ch);
	if (q->up && add(c, q) == -1)
		return -1;
	msg_init(&r, M_DB_CHALLENGE_OK);
	r.id = m->id;
	link_reply(c->db, &r);
	return 0;
}

void
acme_cert(struct control *c, const struct m_db_cert *m)
{
	struct acme *a = c->acme;

	if (a->key == m->key && slice_eq(m->chain, buf_slice_of(&a->chain)))
		return;
	if (a->chain.n != 0 && c->tls != NULL)
		tls_del(c->tls, a->key);
	buf_clear(&a->chain);
	buf_slice(&a->chain, m->chain);
	a->key = m->key;
	if (a->chain.n != 0) {
		certs_more(c);
		log_info("a certificate that was had by ACME is in force");
	}
}

bool
acme_has(const struct control *c)
{
	const struct challenge *ch;

	TAILQ_FOREACH(ch, &c->acme->challenges, all)
		if (ch->kind == TLS_ALPN_01)
			return true;
	return c->acme->chain.n != 0;
}

void
acme_more(struct control *c)
{
	struct acme *a = c->acme;
	const struct challenge *ch;
	char why[256];

	if (a->chain.n != 0 && tls_add(c->tls, a->key,
	    (const char *)a->chain.p, a->chain.n, "certificate of ACME", why,
	    sizeof(why)) == -1)
		log_warnx("%s", why);
	TAILQ_FOREACH(ch, &a->challenges, all)
		show(c, ch);
}

void
acme_db_link(struct control *c)
{
	struct challenge *ch;

	/* Whoever waits for them waits no more: a new dbd says its own. */
	while (c->db != NULL &&
	    (ch = TAILQ_FIRST(&c->acme->challenges)) != NULL)
		challenge_free(c, ch);
}

void
get_challenge(struct control *c, struct req *r)
{
	struct req_head h = { 200, "application/octet-stream", -1, NULL, NULL,
	    NULL, NULL };
	struct slice token = req_path(r);
	const struct challenge *ch;
	struct buf b = { NULL, 0, 0 };

	token.p += strlen(PATH);
	token.n -= strlen(PATH);
	TAILQ_FOREACH(ch, &c->acme->challenges, all)
		if (ch->kind == HTTP_01 && slice_eqs(token, ch->token))
			break;
	if (ch == NULL) {
		reply_text(r, 404, "no such challenge");
		return;
	}
	buf_printf(&b, "%s.%s", ch->token, ch->thumbprint);
	req_reply(r, &h, b.p, b.n);
	buf_free(&b);
}

void
acme_init(struct control *c)
{
	c->acme = xcalloc(1, sizeof(*c->acme));
	TAILQ_INIT(&c->acme->challenges);
}

void
acme_end(struct control *c)
{
	struct challenge *ch;

	while ((ch = TAILQ_FIRST(&c->acme->challenges)) != NULL)
		challenge_free(c, ch);
	buf_free(&c->acme->chain);
	free(c->acme);
	c->acme = NULL;
}
