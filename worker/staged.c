#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/ids.h"
#include "common/log.h"
#include "worker/staged.h"
#include "worker/tailnet/derpmap.h"
#include "worker/tailnet/dns.h"

#define FILE_MAX	(4 << 20)

/* What came of an epoch. */
struct parts {
	struct buf	 conf;		/* encoded CFG_CONF_WORKER */
	bool		 has_derpmap;	/* the epoch says something of it */
	struct derpmap	*derpmap;	/* NULL: none any more */
	bool		 has_records;
	struct records	*records;
	struct tls	*tls;		/* certificates; NULL: none */
	char		 why[200];	/* a file that is bad; "" if none */
};

struct staged {
	struct env	*env;
	struct control	*control;
	bool		 aloud;
	struct parts	 next;
	uint32_t	 epoch;		/* of next */
	uint32_t	 in_force;
};

struct staged *
staged_new(struct env *env, struct control *c, bool aloud)
{
	struct staged *s;

	s = xcalloc(1, sizeof(*s));
	s->env = env;
	s->aloud = aloud;
	s->control = c;
	return s;
}

static void
parts_clear(struct parts *p)
{
	derpmap_free(p->derpmap);
	records_free(p->records);
	tls_free(p->tls);
	buf_free(&p->conf);
	memset(p, 0, sizeof(*p));
}

void
staged_free(struct staged *s)
{
	if (s == NULL)
		return;
	parts_clear(&s->next);
	free(s);
}

void
staged_conf(struct staged *s, const struct msg *m)
{
	parts_clear(&s->next);
	s->epoch = m->u.cfg_conf_worker.epoch;
	msg_encode(&s->next.conf, m);
}

/* A file whose content is not ours to judge yet; NULL if it can't be read. */
static char *
slurp(int fd, size_t *n)
{
	struct stat st;
	char *p;
	ssize_t got;

	if (fstat(fd, &st) == -1 || st.st_size < 0 || st.st_size > FILE_MAX)
		return NULL;
	p = xmalloc((size_t)st.st_size + 1);
	for (*n = 0; *n <= (size_t)st.st_size; *n += (size_t)got) {
		got = pread(fd, p + *n, (size_t)st.st_size + 1 - *n,
		    (off_t)*n);
		if (got == -1) {
			free(p);
			return NULL;
		}
		if (got == 0)
			break;
	}
	if (*n <= (size_t)st.st_size)
		return p;
	free(p);		/* it grows while we read */
	return NULL;
}

static void
take_cert(struct staged *s, struct parts *to, unsigned int number,
    const char *p, size_t n, const char *name, char *why, size_t len)
{
	int64_t now = env_wall(s->env);
	char text[100];

	if (to->tls == NULL)
		to->tls = control_tls_new(s->control);
	if (tls_add(to->tls, number, p, n, name, why, len) == 0 &&
	    s->aloud && s->in_force == 0 &&
	    tls_is_aged(to->tls, number, now, text, sizeof(text)))
		log_warnx("%s: the certificate %s", name, text);
}

static void
take(struct staged *s, struct parts *to, const struct m_cfg_file *f,
    const char *p, size_t n, const char *name)
{
	char why[sizeof(to->why)] = "";

	if (f->kind == FILE_DERP_MAP) {
		derpmap_free(to->derpmap);
		to->derpmap = derpmap_parse(p, n, name, why, sizeof(why));
		to->has_derpmap = to->derpmap != NULL;
	} else if (f->kind == FILE_RECORDS) {
		records_free(to->records);
		to->records = records_parse(p, n, name, why, sizeof(why));
		to->has_records = to->records != NULL;
	} else if (f->kind == FILE_TLS_CERT && to != &s->next) {
		(void)snprintf(why, sizeof(why), "%.150s: a certificate comes "
		    "with a configuration only", name);
	} else if (f->kind == FILE_TLS_CERT)
		take_cert(s, to, TLSKEY_OF(f->epoch, f->number), p, n, name,
		    why, sizeof(why));
	else
		(void)snprintf(why, sizeof(why), "file of kind %u", f->kind);
	if (why[0] != '\0' && to->why[0] == '\0')
		(void)strlcpy(to->why, why, sizeof(to->why));
}

static void
apply_files(struct staged *s, struct parts *p)
{
	if (p->has_derpmap)
		control_derpmap(s->control, p->derpmap);
	if (p->has_records)
		tailnets_records(control_tailnets(s->control), p->records);
	p->has_derpmap = p->has_records = false;
	p->derpmap = NULL;
	p->records = NULL;
}

void
staged_file(struct staged *s, const struct m_cfg_file *f, int fd)
{
	struct parts now = { 0 };
	struct parts *to = f->epoch == s->in_force ? &now : &s->next;
	char name[256], *p;
	size_t n;

	(void)slice_copy(name, sizeof(name), f->name);
	if ((p = slurp(fd, &n)) == NULL)
		(void)snprintf(to->why, sizeof(to->why), "%.150s: can't be "
		    "read, or has more than %d bytes", name, FILE_MAX);
	else
		take(s, to, f, p, n, name);
	free(p);
	(void)close(fd);
	if (to != &now)
		return;
	if (now.why[0] != '\0')
		log_warnx("%s; the old one stays", now.why);
	else
		log_info("%s: read again", name);
	apply_files(s, &now);
	parts_clear(&now);
}

void
staged_nofile(struct staged *s, const struct m_cfg_nofile *f)
{
	if (f->kind == FILE_DERP_MAP)
		s->next.has_derpmap = true;
	else
		s->next.has_records = true;
}

bool
staged_check(struct staged *s, uint32_t epoch, char *why, size_t len)
{
	struct msg m;

	if (s->epoch != epoch || s->next.conf.n == 0) {
		(void)snprintf(why, len, "no configuration of this epoch");
		return false;
	}
	if (s->next.why[0] != '\0') {
		(void)strlcpy(why, s->next.why, len);
		return false;
	}
	if (msg_decode(&m, M_CFG_CONF_WORKER, s->next.conf.p,
	    s->next.conf.n) == -1)
		fatalx("own copy does not decode");
	return control_conf_check(&m.u.cfg_conf_worker, why, len) == 0;
}

void
staged_commit(struct staged *s, uint32_t epoch)
{
	struct msg m;

	if (s->epoch != epoch || msg_decode(&m, M_CFG_CONF_WORKER,
	    s->next.conf.p, s->next.conf.n) == -1)
		fatalx("commit of what was not staged");
	s->in_force = epoch;
	control_conf(s->control, &m.u.cfg_conf_worker);
	apply_files(s, &s->next);
	control_tls(s->control, s->next.tls);
	s->next.tls = NULL;
	parts_clear(&s->next);
}

void
staged_discard(struct staged *s)
{
	parts_clear(&s->next);
}

uint32_t
staged_epoch(const struct staged *s)
{
	return s->epoch;
}

uint32_t
staged_in_force(const struct staged *s)
{
	return s->in_force;
}
