#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/str.h"
#include "master/master_int.h"
#include "master/notify.h"
#include "master/spawn.h"

#define LOOK_US		(5 * US_PER_S)

static void
reply(struct master *ms, struct proc *p, uint32_t id, bool ok,
    const char *text)
{
	struct super_ops ops;
	struct msg m;

	msg_init(&m, M_CFG_CTL_DONE);
	m.id = id;
	m.u.cfg_ctl_done.ok = ok;
	m.u.cfg_ctl_done.text = slice_mem(text, strnlen(text, WHY_LEN));
	/* A piece of a character is none. */
	while (m.u.cfg_ctl_done.text.n > 0 &&
	    !utf8_ok(text, m.u.cfg_ctl_done.text.n))
		m.u.cfg_ctl_done.text.n--;
	master_ops(ms, &ops);
	ops.send(p, &m, ms);
}

void
master_warn(const struct conf *conf)
{
	unsigned int i;

	for (i = 0; i < conf->nwarnings; i++)
		log_warnx("%s", conf->warnings[i]);
}

/* Answers whoever asked, if that instance still lives. */
static void
answer(struct master *ms, bool ok, const char *text)
{
	struct asker a = ms->asker;

	memset(&ms->asker, 0, sizeof(ms->asker));
	if (ok)
		log_info("reload: %s", text);
	else
		log_warnx("reload: %s", text);
	notify("READY=1\nSTATUS=%s %.300s", ok ? "ready, last reload:" :
	    "ready, reload refused:", text);
	if (a.proc != NULL && proc_generation(a.proc) == a.generation &&
	    proc_state(a.proc) == PROC_RUN)
		reply(ms, a.proc, a.id, ok, text);
	if (ms->again && !ms->stopping)
		timer_in(&ms->again_timer, 0);
}

static void
on_again(void *arg)
{
	struct master *ms = arg;

	ms->again = false;
	master_reload(ms, NULL, 0);
}

/* This reload may be the first to want a process that connects out. */
static bool
out_stage(struct master *ms, char *why, size_t whylen)
{
	return (conf_out(ms->next) == CONF_OUT_NONE ||
	    (users_find_out(&ms->users, ms->next, why, whylen) &&
	    spawn_has(ms->libexec, ROLE_OUT, why, whylen))) &&
	    fetchdir_stage(ms->fetch, ms->next, why, whylen);
}

/* Reads everything aside; false with the reason. */
static bool
stage(struct master *ms, char *why, size_t whylen)
{
	const struct master_args *a = ms->args;

	ms->next = conf_load(a->conf, a->macros, a->nmacros, why, whylen);
	if (ms->next == NULL)
		return false;
	if (conf_reloadable(ms->conf, ms->next, why, whylen) &&
	    out_stage(ms, why, whylen) &&
	    files_stage(ms->files, ms->next, why, whylen) &&
	    keypairs_stage(ms->pairs, ms->next, why, whylen) &&
	    listen_stage(ms->listeners, ms->next, false, why, whylen)) {
		ms->next_epoch = ++ms->last_epoch;
		if (super_reload(ms->super, ms->next_epoch, why, whylen))
			return true;
	}
	ms->next_epoch = 0;
	conf_free(ms->next);
	ms->next = NULL;
	files_discard(ms->files);
	keypairs_discard(ms->pairs);
	fetchdir_discard(ms->fetch);
	listen_discard(ms->listeners);
	return false;
}

void
master_reload(struct master *ms, struct proc *p, uint32_t id)
{
	char why[WHY_LEN];

	if (super_reloading(ms->super)) {
		if (p != NULL)
			reply(ms, p, id, false, "a reload is going on");
		else {
			log_info("reload: after the one that is going on");
			ms->again = true;
		}
		return;
	}
	ms->asker.proc = p;
	ms->asker.generation = p == NULL ? 0 : proc_generation(p);
	ms->asker.id = id;
	notify("RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading",
	    (unsigned long long)env_now(ev_env(ms->ev)));
	if (!stage(ms, why, sizeof(why)))
		answer(ms, false, why);
}

void
master_outcome(uint32_t epoch, bool ok, const char *why, void *arg)
{
	struct master *ms = arg;
	bool level;

	if (!super_is_serving(ms->super)) {	/* headscaled -n */
		if (!ok)
			log_warnx("%s", why);
		master_stopped(ok ? 0 : 1, "", ms);
		return;
	}
	ms->next_epoch = 0;
	if (!ok) {
		conf_free(ms->next);
		ms->next = NULL;
		files_discard(ms->files);
		keypairs_discard(ms->pairs);
		fetchdir_discard(ms->fetch);
		listen_discard(ms->listeners);
		answer(ms, false, why);
		return;
	}
	ms->epoch = epoch;
	level = ms->conf->log_debug != ms->next->log_debug;
	conf_free(ms->conf);
	ms->conf = ms->next;
	ms->next = NULL;
	files_commit(ms->files);
	keypairs_commit(ms->pairs);
	fetchdir_commit(ms->fetch);
	listen_commit(ms->listeners);
	master_send_listeners(ms);
	if (level) {
		ms->verbose = ms->conf->log_debug;
		log_verbose(ms->verbose);
		super_verbose(ms->super, ms->verbose);
	}
	master_warn(ms->conf);
	master_say_out(ms);
	master_say_relay(ms);
	answer(ms, true, "the new configuration is in force");
}

void
master_request(struct master *ms, struct proc *p, const struct msg *m)
{
	if (m->type == M_CFG_CTL_RELOAD) {
		log_info("reload asked for by uid %u", m->u.cfg_ctl_reload.uid);
		master_reload(ms, p, m->id);
		return;
	}
	ms->verbose = m->u.cfg_ctl_verbose.verbose != 0;
	log_verbose(ms->verbose);
	super_verbose(ms->super, ms->verbose);
	reply(ms, p, m->id, true, ms->verbose ? "the log is verbose" :
	    "the log is brief");
}

struct news {
	struct master	*master;
	enum file_kind	 kind;
};

static void
send_news(struct proc *p, void *arg)
{
	const struct news *n = arg;
	int fd;

	if (proc_role(p) != ROLE_WORKER || proc_state(p) != PROC_RUN)
		return;
	fd = files_get(n->master->files, n->kind, false, 0);
	if (fd != -1)
		master_send_file(n->master, p, n->kind, n->master->epoch, fd);
}

static void
send_log(struct proc *p, void *arg)
{
	int fd;

	if (proc_state(p) != PROC_RUN)
		return;
	if ((fd = logsock_open(NULL)) == -1)
		log_warn("syslogd");
	else
		master_send_log(arg, p, fd);
}

/* Who is started from now on finds the new one by itself. */
static void
look_for_log(struct master *ms)
{
	int fd;

	if (ms->to_stderr || !logsock_is_new(&ms->logsock) ||
	    (fd = logsock_open(&ms->logsock)) == -1)
		return;
	log_move(fd);
	log_info("syslogd was started again");
	super_each(ms->super, send_log, ms);
}

static void
on_look(void *arg)
{
	struct master *ms = arg;
	enum file_kind kinds[] = { FILE_DERP_MAP, FILE_RECORDS };
	struct news n;
	size_t i;

	master_look(ms);
	look_for_log(ms);
	if (super_reloading(ms->super))
		return;
	n.master = ms;
	for (i = 0; i < 2; i++) {
		n.kind = kinds[i];
		if (files_changed(ms->files, n.kind))
			super_each(ms->super, send_news, &n);
	}
}

void
master_look(struct master *ms)
{
	if (ms->look.env == NULL) {
		timer_init(&ms->look, ev_env(ms->ev), on_look, ms);
		timer_init(&ms->again_timer, ev_env(ms->ev), on_again, ms);
	}
	timer_in(&ms->look, LOOK_US);
}
