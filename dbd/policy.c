/* The policy of a tailnet: stored, in force, told to workers. */

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "dbd/batch_int.h"
#include "dbd/policy_int.h"
#include "dbd/routes_int.h"

#define PART_OCTETS	60000
#define FILE_REASON	"from the file"

static int
no(char *why, size_t n, const char *text)
{
	(void)strlcpy(why, text, n);
	return -1;
}

/* What is in force. */

enum policy_kind
policy_in_force(const struct tailnet *tn)
{
	return tn->alarm ? POLICY_DENY_ALL : tn->policy;
}

void
policy_name(const struct tailnet *tn, char *dst, size_t n)
{
	if (tn->alarm)
		(void)snprintf(dst, n, "deny-all: version %u is not compiled",
		    tn->version);
	else if (tn->policy == POLICY_COMPILED)
		(void)snprintf(dst, n, "version %u", tn->version);
	else
		(void)strlcpy(dst, tn->policy == POLICY_ALLOW_ALL ?
		    "allow-all" : "deny-all", n);
}

void
policy_parts(const struct tailnet *tn, struct slice blob,
    void (*fn)(const struct msg *, void *), void *arg)
{
	struct msg m;
	size_t at, n;

	for (at = 0; at < blob.n; at += n) {
		n = blob.n - at < PART_OCTETS ? blob.n - at : PART_OCTETS;
		msg_init(&m, M_DB_POLICY_PART);
		m.u.db_policy_part.tailnet = tn->id;
		m.u.db_policy_part.seq = tn->pol_seq;
		m.u.db_policy_part.size = blob.n;
		m.u.db_policy_part.at = at;
		m.u.db_policy_part.octets = slice_mem(blob.p + at, n);
		fn(&m, arg);
	}
}

static void
part_send(const struct msg *m, void *arg)
{
	struct link *l = arg;

	if (!link_is_down(l))
		link_send(l, m);
}

void
tailnet_say(const struct tailnet *tn, struct msg *m)
{
	struct m_db_tailnet *t = &m->u.db_tailnet;

	msg_init(m, M_DB_TAILNET);
	t->tailnet = tn->id;
	t->name = slice_str(tn->name);
	t->stable_id = slice_str(tn->stable_id);
	t->policy = (uint8_t)policy_in_force(tn);
	t->range4 = tn->d->conf.prefix4;
	t->range6 = tn->d->conf.prefix6;
}

/* Which kind it is, and what it was compiled to. */
static void
publish_to(struct tailnet *tn, struct link *l)
{
	struct slice blob = buf_slice_of(&tn->blob);
	struct dbd *d = tn->d;
	struct msg m;
	int fd;

	tailnet_say(tn, &m);
	link_send(l, &m);
	if (policy_in_force(tn) != POLICY_COMPILED)
		return;
	if ((fd = d->ops.seal(blob.p, blob.n, d->ops.arg)) == -1) {
		policy_parts(tn, blob, part_send, l);
		return;
	}
	msg_init(&m, M_DB_POLICY);
	m.u.db_policy.tailnet = tn->id;
	m.u.db_policy.seq = tn->pol_seq;
	m.u.db_policy.size = blob.n;
	m.fd = fd;
	link_send(l, &m);
}

void
policy_publish(struct tailnet *tn)
{
	struct held *h;

	TAILQ_FOREACH(h, &tn->holders, of_tailnet)
		if (!h->due && !h->left)
			publish_to(tn, h->worker->link);
}

/* Memory takes p over, and blob's octets. */
static void
put_in_force(struct tailnet *tn, struct pol *p, struct buf *blob)
{
	pol_free(tn->pol);
	tn->pol = p;
	buf_free(&tn->blob);
	if (blob != NULL) {
		tn->blob = *blob;
		memset(blob, 0, sizeof(*blob));
	}
	tn->alarm = false;
}

/* Loading. */

struct found {
	struct tailnet	*tn;
	struct buf	*text;		/* NULL: it is not wanted */
	struct buf	*blob;
	enum policy_kind kind;
};

static int
on_found(const struct policy_row *row, void *arg)
{
	struct found *f = arg;

	f->kind = row->kind;
	if (f->text != NULL)
		buf_slice(f->text, row->text);
	if (f->blob != NULL)
		buf_slice(f->blob, row->blob);
	return 0;
}

/* 1, or 0 if there is none; the store has failed if -1. */
static int
find(struct tailnet *tn, uint32_t version, struct found *f)
{
	f->tn = tn;
	return store_find_policy(tn->d->store, tn->id, version, on_found, f);
}

int
policy_load(struct tailnet *tn)
{
	struct buf blob = { NULL, 0, 0 };
	struct found f = { .blob = &blob };
	const char *err = "it has no compiled form";
	struct pol *p = NULL;

	tn->users_gen = 1;	/* all is to be compiled once */
	if (tn->policy != POLICY_COMPILED)
		return 0;
	if (find(tn, 0, &f) == -1)
		return -1;
	if (blob.n != 0)
		p = pol_load(blob.p, blob.n, &err);
	if (p != NULL) {
		put_in_force(tn, p, &blob);
		return 0;
	}
	buf_free(&blob);
	tn->alarm = true;
	log_warnx("ALARM: policy tailnet=%s version=%u: %s: all is denied "
	    "until it is compiled again", tn->name, tn->version, err);
	return 0;
}

/* What the server does by itself. */

/* Whoever reloads reads it in the status; the log has it, too. */
static void
file_refused(struct dbd *d, uint32_t line, uint32_t column, struct slice text)
{
	char at[32] = "";
	size_t n;

	if (line != 0)
		(void)snprintf(at, sizeof(at), ":%u:%u", line, column);
	(void)snprintf(d->file_no, sizeof(d->file_no), "%s%s: %.*s",
	    log_vis(d->conf.policy_name), at, SLICE_FMT(text));
	/* A piece of a character is none. */
	for (n = strlen(d->file_no); n > 0 && !utf8_ok(d->file_no, n);)
		d->file_no[--n] = '\0';
	log_warnx("%s: the policy of before stays",
	    log_vis(slice_str(d->file_no)));
}

static void
file_done(const struct job_result *r, void *arg)
{
	struct dbd *d = arg;

	if (r == NULL)
		return;
	d->file_due = r->died;		/* then it is tried again */
	if (!r->ok) {
		file_refused(d, r->line, r->column, r->text);
		return;
	}
	d->file_no[0] = '\0';
	log_info("policy file=%s version=%u", log_vis(d->conf.policy_name),
	    r->version);
}

static bool
file_is_new(struct tailnet *tn)
{
	struct buf text = { NULL, 0, 0 };
	struct found f = { .text = &text };
	bool same;

	op_check(tn->d, find(tn, 0, &f));
	same = f.kind == POLICY_COMPILED && slice_eq(buf_slice_of(&text),
	    tn->d->conf.policy_text);
	buf_free(&text);
	return !same;
}

static void
file_set(struct dbd *d)
{
	struct tailnet *tn = tailnet_default(d);
	char why[200];

	/* An older text of it may still wait. */
	job_forget(d, d);
	if (op_policy_set(tn, d->conf.policy_text, slice_str(FILE_REASON),
	    UID_NONE, file_done, d, why, sizeof(why)) == -1) {
		d->file_due = false;
		file_refused(d, 0, 0, slice_str(why));
	}
}

void
policy_conf_changed(struct dbd *d, bool domains)
{
	struct tailnet *tn;

	if (domains)
		TAILQ_FOREACH(tn, &d->tailnets, all)
			policy_users_changed(tn);
	/* What the file was before is not wanted, whatever comes of it. */
	job_forget(d, d);
	d->file_no[0] = '\0';
	d->file_due = d->conf.policy_file && file_is_new(tailnet_default(d));
	if (d->file_due)
		file_set(d);
}

void
policy_again(struct dbd *d)
{
	struct tailnet *tn;
	char why[200];

	if (d->file_due && !job_waits(tailnet_default(d), JOB_SET, true))
		file_set(d);
	TAILQ_FOREACH(tn, &d->tailnets, all)
		if (tn->policy == POLICY_COMPILED &&
		    (tn->alarm || tn->pol_gen != tn->users_gen) &&
		    !job_waits(tn, JOB_AGAIN, false))
			(void)job_add(job_new(tn, JOB_AGAIN, UID_NONE, NULL,
			    NULL), why, sizeof(why));
}

/* Who waited for this start may hold a policy that is not valid any more. */
void
policy_alarm(struct dbd *d)
{
	struct tailnet *tn;

	TAILQ_FOREACH(tn, &d->tailnets, all) {
		if (!tn->alarm)
			continue;
		op_begin(d);
		put_policy(tn);
		audit(tn, UID_NONE, "policy.alarm", tn->version,
		    "no valid compiled form: deny-all");
		op_end(d);
	}
}

void
policy_prepare(struct job *j)
{
	struct tailnet *tn = j->tn;
	struct found f = { .text = NULL };

	if (j->kind == JOB_AGAIN || j->kind == JOB_RETEST ||
	    j->kind == JOB_WHY)
		f.text = &j->text;
	else if (j->kind == JOB_DIFF)
		f.text = &j->was;
	else
		return;
	op_check(tn->d, find(tn, 0, &f));
	j->version = tn->version;
	if (f.kind == POLICY_COMPILED)
		return;
	buf_clear(f.text);
	buf_str(f.text, f.kind == POLICY_ALLOW_ALL ? "{}" :
	    "{\"acls\":[]}");
}

/* Answers of policyc. */

/* What came, if it is sound. */
static struct pol *
take_blob(const struct job *j, struct job_result *r)
{
	static char text[200];
	const char *err = "";
	struct pol *p;

	if ((p = pol_load(j->blob.p, j->blob.n, &err)) != NULL)
		return p;
	(void)snprintf(text, sizeof(text), "the policy compiler made what "
	    "cannot be used: %s", err);
	log_warnx("policy tailnet=%s: %s", j->tn->name, text);
	r->ok = false;
	r->text = slice_str(text);
	return NULL;
}

static void
store_version(struct tailnet *tn, enum policy_kind kind, const struct job *j,
    struct slice reason, uint32_t uid)
{
	struct policy_row row;

	memset(&row, 0, sizeof(row));
	row.tailnet = tn->id;
	row.kind = kind;
	row.uid = uid;
	row.at = env_wall(tn->d->env);
	row.reason = reason;
	if (j != NULL) {
		row.text = buf_slice_of(&j->text);
		row.blob = buf_slice_of(&j->blob);
	}
	op_check(tn->d, store_add_policy(tn->d->store, &row));
	tn->policy = kind;
	tn->version++;
}

/* Why it must not come into force any more, or NULL. */
static const char *
is_late(const struct job *j)
{
	const struct dbd_conf *c = &j->tn->d->conf;

	if (c->policy_file && !slice_eq(buf_slice_of(&j->text),
	    c->policy_text))
		return "the policy is what the file says now";
	if (!c->policy_file && j->uid == UID_NONE)
		return "the policy is not in a file any more";
	if (j->uid != UID_NONE && j->version != j->tn->version)
		return "another version came into force meanwhile";
	return NULL;
}

/* What was compiled, or NULL if it is refused or in force already. */
static struct pol *
take_set(struct job *j, struct job_result *r)
{
	const char *late;
	struct pol *p;

	if (!r->ok)
		return NULL;
	if ((late = is_late(j)) != NULL) {
		r->ok = false;
		r->text = slice_str(late);
		return NULL;
	}
	if (j->uid == UID_NONE && !file_is_new(j->tn)) {
		r->version = j->tn->version;
		return NULL;
	}
	if ((p = take_blob(j, r)) == NULL)
		return NULL;
	if (utf8_ok((const char *)j->text.p, j->text.n))
		return p;
	pol_free(p);
	r->ok = false;
	r->text = slice_str("the text is not UTF-8");
	return NULL;
}

/*
 * Stored and in force are one operation.  What it approves follows, in others:
 * all nodes may have more routes than one can hold.
 */
static void
done_set(struct job *j, struct job_result *r)
{
	struct tailnet *tn = j->tn;
	struct pol *p;

	if ((p = take_set(j, r)) == NULL)
		return;
	op_begin(tn->d);
	store_version(tn, POLICY_COMPILED, j, slice_str(j->reason), j->uid);
	put_in_force(tn, p, &j->blob);
	tn->pol_gen = j->gen;
	put_policy(tn);
	routes_auto_all(tn);
	audit(tn, j->uid, "policy.set", tn->version, "%s",
	    log_vis(slice_str(j->reason)));
	op_end(tn->d);
	routes_pieces(tn->d);
	r->version = tn->version;
	batch_log(tn->d, "policy tailnet=%s version=%u in force", tn->name,
	    tn->version);
	if (tn->pol_gen != tn->users_gen)
		policy_users_changed(tn);
}

static void
done_again(struct job *j, const struct job_result *r)
{
	struct tailnet *tn = j->tn;
	struct job_result bad = *r;
	struct pol *p;

	if (tn->policy != POLICY_COMPILED || r->died)
		return;
	if (!r->ok)
		log_warnx("policy tailnet=%s version=%u line=%u column=%u: "
		    "%s", tn->name, tn->version, r->line, r->column,
		    log_vis(r->text));
	/* It is of no use to try that again. */
	tn->pol_gen = j->gen;
	if (!r->ok)
		return;
	if (!tn->alarm && slice_eq(buf_slice_of(&j->blob),
	    buf_slice_of(&tn->blob))) {
		/* It means what it meant, but its tests look at nodes. */
		job_retest(tn);
		return;
	}
	if ((p = take_blob(j, &bad)) == NULL)
		return;
	op_begin(tn->d);
	op_check(tn->d, store_put_policy_blob(tn->d->store, tn->id,
	    tn->version, buf_slice_of(&j->blob)));
	put_in_force(tn, p, &j->blob);
	put_policy(tn);
	routes_auto_all(tn);
	audit(tn, UID_NONE, "policy.compile", tn->version, "%s", "");
	op_end(tn->d);
	routes_pieces(tn->d);
	batch_log(tn->d, "policy tailnet=%s version=%u compiled again",
	    tn->name, tn->version);
	job_retest(tn);
}

static void
done_retest(const struct job *j, const struct job_result *r)
{
	if (!r->ok && !r->died && j->version == j->tn->version)
		log_warnx("policy tailnet=%s version=%u: %s: it stays in "
		    "force all the same", j->tn->name, j->version,
		    log_vis(r->text));
}

void
policy_done(struct job *j, struct job_result *r)
{
	struct pol *p;

	switch (j->kind) {
	case JOB_SET:
		done_set(j, r);
		break;
	case JOB_AGAIN:
		done_again(j, r);
		break;
	case JOB_RETEST:
		done_retest(j, r);
		break;
	case JOB_CHECK:
		if (r->ok && (p = take_blob(j, r)) != NULL)
			pol_free(p);
		break;
	default:
		break;
	}
}

/* Operations. */

static int
text_check(struct slice text, char *why, size_t n)
{
	/* A file that was cut off must not open everything. */
	if (text.n == 0)
		return no(why, n, "the policy is empty: {} is the one that "
		    "allows everything");
	if (text.n <= POLICY_TEXT_MAX)
		return 0;
	(void)snprintf(why, n, "the policy has more than %u octets",
	    POLICY_TEXT_MAX);
	return -1;
}

/* Who may change it: the file, or everybody else. */
static int
mode_check(const struct dbd *d, uint32_t uid, char *why, size_t n)
{
	if (!d->conf.policy_file || uid == UID_NONE)
		return 0;
	(void)snprintf(why, n, "the policy is in the file %.180s: change "
	    "that and reload", log_vis(d->conf.policy_name));
	return -1;
}

int
op_policy_set(struct tailnet *tn, struct slice text, struct slice reason,
    uint32_t uid, void (*done)(const struct job_result *, void *), void *arg,
    char *why, size_t n)
{
	struct job *j;

	if (mode_check(tn->d, uid, why, n) == -1 ||
	    text_check(text, why, n) == -1)
		return -1;
	j = job_new(tn, JOB_SET, uid, done, arg);
	buf_slice(&j->text, text);
	if (!slice_copy(j->reason, sizeof(j->reason), reason)) {
		job_free(j);
		return no(why, n, "the reason is too long");
	}
	return job_add(j, why, n);
}

/* A version without a text is one of the two that need no compiler. */
static void
set_builtin(struct tailnet *tn, enum policy_kind kind, struct slice reason,
    uint32_t uid)
{
	op_begin(tn->d);
	store_version(tn, kind, NULL, reason, uid);
	put_in_force(tn, pol_builtin(kind == POLICY_ALLOW_ALL), NULL);
	put_policy(tn);
	audit(tn, uid, "policy.set", tn->version, "%s", log_vis(reason));
	op_end(tn->d);
	batch_log(tn->d, "policy tailnet=%s version=%u in force", tn->name,
	    tn->version);
}

int
op_policy_rollback(struct tailnet *tn, uint32_t version, struct slice reason,
    uint32_t uid, void (*done)(const struct job_result *, void *), void *arg,
    char *why, size_t n)
{
	struct buf text = { NULL, 0, 0 };
	struct found f = { .text = &text };
	struct job_result r;
	char said[64];
	int rc;

	if (mode_check(tn->d, uid, why, n) == -1)
		return -1;
	rc = version == 0 ? 0 : find(tn, version, &f);
	op_check(tn->d, rc);
	if (rc != 1)
		return no(why, n, "no such version");
	(void)snprintf(said, sizeof(said), "rollback to %u", version);
	if (reason.n == 0)
		reason = slice_str(said);
	if (f.kind == POLICY_COMPILED) {
		rc = op_policy_set(tn, buf_slice_of(&text), reason, uid, done,
		    arg, why, n);
		buf_free(&text);
		return rc;
	}
	buf_free(&text);
	set_builtin(tn, f.kind, reason, uid);
	memset(&r, 0, sizeof(r));
	r.ok = true;
	r.version = tn->version;
	done(&r, arg);
	return 0;
}

int
op_policy_try(struct tailnet *tn, enum job_kind kind, struct slice text,
    uint32_t lines, uint32_t uid, void (*done)(const struct job_result *,
    void *), void *arg, char *why, size_t n)
{
	struct job *j;

	if (text_check(text, why, n) == -1)
		return -1;
	j = job_new(tn, kind, uid, done, arg);
	buf_slice(&j->text, text);
	j->lines = lines;
	return job_add(j, why, n);
}

int
op_policy_why(struct tailnet *tn, struct slice src, struct slice dst,
    uint16_t port, uint32_t uid, void (*done)(const struct job_result *,
    void *), void *arg, char *why, size_t n)
{
	struct job *j;

	if (tn->alarm)
		return no(why, n, "no valid policy is in force: all is denied");
	j = job_new(tn, JOB_WHY, uid, done, arg);
	j->port = port;
	if (slice_copy(j->src, sizeof(j->src), src) &&
	    slice_copy(j->dst, sizeof(j->dst), dst))
		return job_add(j, why, n);
	job_free(j);
	return no(why, n, "a name is too long");
}

int
policy_tags_check(const struct tailnet *tn, const struct msg_list *tags,
    char *why, size_t n)
{
	struct msg_list it = *tags;
	struct r_text t;

	if (tags->count == 0 || (tn->policy != POLICY_COMPILED && !tn->alarm))
		return 0;
	if (tn->alarm)
		return no(why, n, "no valid policy is in force: no tag can be "
		    "given");
	while (msg_list_next(&it, MR_TEXT, &t))
		if (!pol_tag_defined(tn->pol, t.v)) {
			(void)snprintf(why, n, "%.100s: not defined in the "
			    "policy's tagOwners", log_vis(t.v));
			return -1;
		}
	return 0;
}
