#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/compat/root.h"
#include "common/log.h"
#include "common/str.h"
#include "master/master.h"
#include "master/master_int.h"
#include "master/notify.h"
#include "master/path.h"
#include "master/rundir.h"
#include "master/spawn.h"
#include "master/util.h"

#define SECRET_LEN	32
#define CHECK_CAGE	"/tmp/headscaled.XXXXXX"

/* Before anything runs: as other programs say such things. */
static void __attribute__((__noreturn__))
die(const char *why)
{
	(void)fprintf(stderr, "%s\n", why);
	exit(1);
}

struct master *
master_new(const struct master_args *args)
{
	char why[WHY_LEN];
	struct master *ms;

	ms = xcalloc(1, sizeof(*ms));
	ms->args = args;
	ms->control = ms->pid_fd = ms->state_fd = -1;
	ms->conf = conf_load(args->conf, args->macros, args->nmacros, why,
	    sizeof(why));
	if (ms->conf == NULL || !users_find(&ms->users, ms->conf, why,
	    sizeof(why)))
		die(why);
	ms->libexec = spawn_libexec(ms->conf->files.libexec_dir, args->self,
	    why, sizeof(why));
	if (ms->libexec == NULL || (ms->conf->derp.nstun > 0 &&
	    !spawn_has(ms->libexec, ROLE_STUN, why, sizeof(why))) ||
	    (conf_out(ms->conf) != CONF_OUT_NONE &&
	    !spawn_has(ms->libexec, ROLE_OUT, why, sizeof(why))))
		die(why);
	ms->verbose = args->verbose > 0 || ms->conf->log_debug;
	ms->to_stderr = args->foreground || ms->conf->log_stderr;
	log_verbose(ms->verbose);
	ms->files = files_new();
	ms->pairs = keypairs_new();
	ms->listeners = listen_new(ms->conf->workers);
	return ms;
}

static void
master_free(struct master *ms)
{
	super_free(ms->super);
	files_free(ms->files);
	keypairs_free(ms->pairs);
	fetchdir_free(ms->fetch);
	listen_free(ms->listeners);
	secret_free(ms->secret);
	conf_free(ms->conf);
	conf_free(ms->next);
	free(ms->libexec);
	free(ms->cage);
	free(ms);
}

/* The parts that a check has, too. */
static void
prepare(struct master *ms)
{
	struct super_ops ops;

	ms->ev = ev_new();
	env_random(ev_env(ms->ev), ms->boot, sizeof(ms->boot));
	ms->secret = secret_new(SECRET_LEN);
	env_random(ev_env(ms->ev), secret_data(ms->secret), SECRET_LEN);
	master_ops(ms, &ops);
	ms->super = super_new(ev_env(ms->ev), ms->conf->workers,
	    (uint32_t)getpid(), &ops);
	ms->epoch = ms->last_epoch = 1;
	master_warn(ms->conf);
	master_say_out(ms);
	master_say_relay(ms);
}

static void
on_child(int signo, void *arg)
{
	(void)signo;
	master_reap(arg);
}

static void
on_hangup(int signo, void *arg)
{
	(void)signo;
	log_info("reload asked for by a signal");
	master_reload(arg, NULL, 0);
}

static void
on_stop(int signo, void *arg)
{
	struct master *ms = arg;

	if (ms->stopping)
		return;
	ms->stopping = true;
	log_info("stopping: signal %d", signo);
	notify("STOPPING=1\nSTATUS=stopping");
	setproctitle("master: stopping");
	super_stop(ms->super);
}

void
master_serving(void *arg)
{
	struct master *ms = arg;
	char addrs[512], stun[256];
	int fd;

	listen_print(ms->listeners, false, addrs, sizeof(addrs));
	listen_print(ms->listeners, true, stun, sizeof(stun));
	log_info("ready: %u workers, listening on %s%s%s", ms->conf->workers,
	    addrs, stun[0] == '\0' ? "" : "; STUN on ", stun);
	setproctitle("master: %u workers", ms->conf->workers);
	notify("READY=1\nSTATUS=ready, listening on %.300s", addrs);
	if (!ms->to_stderr) {
		if ((fd = logsock_open(&ms->logsock)) == -1)
			log_warn("syslog");
		else
			log_init("headscaled", fd, true, ms->verbose);
	}
	if (ms->args->serving != NULL)
		ms->args->serving(ms->conf->log_stderr);
	master_look(ms);
}

void
master_stopped(int code, const char *why, void *arg)
{
	struct master *ms = arg;

	if (code != 0 && why[0] != '\0')
		log_warnx("%s", why);
	ms->code = code;
	ms->done = true;
	timer_stop(&ms->look);
	timer_stop(&ms->again_timer);
	ev_stop(ms->ev);
}

/* A worker of a check wants an empty folder, and there may be none yet. */
static void
check_cage(struct master *ms, char *made, size_t n)
{
	char why[WHY_LEN];

	(void)strlcpy(made, CHECK_CAGE, n);
	ms->cage = path_check(ms->conf->files.chroot, PATH_DIR, NULL, why,
	    sizeof(why));
	if (ms->cage != NULL || mkdtemp(made) == NULL)
		made[0] = '\0';
	if (ms->cage == NULL)
		ms->cage = xstrdup(made[0] == '\0' ? "/" : made);
}

/* The keys that are ours are safe, or can be made. */
static bool
keys_check(const struct conf *conf, char *why, size_t n)
{
	const char *paths[] = {
		conf->files.noise_key, conf->files.derp_key,
		conf->files.acme_account, conf->files.acme_key
	};
	size_t i;

	for (i = 0; i < NITEMS(paths); i++)
		if (paths[i] != NULL && (!key_check(paths[i], why, n) ||
		    !place_check(conf, paths[i], why, n)))
			return false;
	return true;
}

/* A folder of its own for the process that connects out, if it is needed. */
static bool
check_fetch(struct master *ms, char *why, size_t n)
{
	char dir[sizeof(CHECK_CAGE)] = CHECK_CAGE;
	bool wanted = conf_out(ms->conf) != CONF_OUT_NONE;

	if (wanted && (mkdtemp(dir) == NULL || chmod(dir, 0755) == -1)) {
		(void)snprintf(why, n, "%s: %s", dir, strerror(errno));
		return false;
	}
	ms->fetch = fetchdir_new(dir, NULL);
	if (fetchdir_stage(ms->fetch, ms->conf, why, n)) {
		fetchdir_commit(ms->fetch);
		return true;
	}
	fetchdir_remove(ms->fetch);
	return false;
}

int
master_check(struct master *ms)
{
	char why[WHY_LEN], made[sizeof(CHECK_CAGE)];
	int code;

	ms->to_stderr = true;
	ms->check = true;
	if (!dirs_check(ms->conf, why, sizeof(why)) ||
	    !keys_check(ms->conf, why, sizeof(why)) ||
	    !files_stage(ms->files, ms->conf, why, sizeof(why)) ||
	    !keypairs_stage(ms->pairs, ms->conf, why, sizeof(why)) ||
	    !check_fetch(ms, why, sizeof(why)))
		die(why);
	files_commit(ms->files);
	keypairs_commit(ms->pairs);
	check_cage(ms, made, sizeof(made));
	prepare(ms);
	ev_signal(ms->ev, SIGCHLD, on_child, ms);
	super_check(ms->super, ms->epoch);
	ev_run(ms->ev, NULL, NULL);
	if (made[0] != '\0')
		(void)rmdir(made);
	if (conf_out(ms->conf) != CONF_OUT_NONE)
		fetchdir_remove(ms->fetch);
	code = ms->code;
	if (code == 0)
		(void)printf("configuration OK\n");
	master_free(ms);
	return code;
}

/* A server that nobody hears does not start. */
static bool
log_ok(const struct master *ms, char *why, size_t n)
{
	int fd;

	if (ms->to_stderr)
		return true;
	if ((fd = logsock_open(NULL)) == -1) {
		(void)snprintf(why, n, "syslogd cannot be reached: %s (use -d, "
		    "or log { target = \"stderr\" })", strerror(errno));
		return false;
	}
	(void)close(fd);
	return true;
}

/* Everything that can be refused before the first child; with the reason. */
static bool
open_all(struct master *ms, char *why, size_t n)
{
	const struct conf_files *f = &ms->conf->files;
	char *dir = path_join(f->run_dir, "fetch");

	ms->fetch = fetchdir_new(dir, NULL);
	free(dir);
	if (!run_dir_make(ms->conf, &ms->users, why, n) ||
	    (ms->pid_fd = pid_lock(f->pid_file, why, n)) == -1 ||
	    !log_ok(ms, why, n) ||
	    !state_dir_make(ms->conf, &ms->users, why, n) ||
	    (ms->state_fd = state_lock(f->state_dir, why, n)) == -1 ||
	    !keys_check(ms->conf, why, n) ||
	    !files_stage(ms->files, ms->conf, why, n) ||
	    !keypairs_stage(ms->pairs, ms->conf, why, n) ||
	    !fetchdir_stage(ms->fetch, ms->conf, why, n) ||
	    !listen_stage(ms->listeners, ms->conf, true, why, n) ||
	    (ms->control = control_listen(f->control_socket, &ms->users, why,
	    n)) == -1)
		return false;
	if (state_is_lost(ms->conf))
		log_warnx("ALARM: there is a key but no database in %s/db: an "
		    "empty one is made, without users and nodes; to restore "
		    "one stop the server first (headscaled(8))",
		    f->state_dir);
	files_commit(ms->files);
	keypairs_commit(ms->pairs);
	fetchdir_commit(ms->fetch);
	listen_commit(ms->listeners);
	ms->cage = xstrdup(f->chroot);
	return true;
}

static void
settle(struct master *ms)
{
	struct rlimit rl;
	const char *what;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
			log_warn("RLIMIT_NOFILE");
	}
	if (!ms->users.drop)
		log_info("no root: one uid (%u) for all processes and no "
		    "chroot: a process that is taken over is kept from the "
		    "others by seccomp and Landlock alone",
		    (unsigned int)geteuid());
	if ((what = compat_master_rights()) != NULL)
		log_warn("rights that master does not need stay: %s", what);
}

int
master_run(struct master *ms)
{
	char why[WHY_LEN];
	int code = 1;

	if (open_all(ms, why, sizeof(why))) {
		settle(ms);
		prepare(ms);
		ev_signal(ms->ev, SIGCHLD, on_child, ms);
		ev_signal(ms->ev, SIGHUP, on_hangup, ms);
		ev_signal(ms->ev, SIGTERM, on_stop, ms);
		ev_signal(ms->ev, SIGINT, on_stop, ms);
		setproctitle("master: starting");
		super_start(ms->super, ms->epoch);
		if (!ms->done)
			ev_run(ms->ev, NULL, NULL);
		code = ms->code;
		log_info("stopped");
	} else
		log_warnx("%s", why);
	if (ms->control != -1 && unlink(ms->conf->files.control_socket) == -1)
		log_warn("%s", ms->conf->files.control_socket);
	if (ms->pid_fd != -1)
		pid_remove(ms->conf->files.pid_file);
	master_free(ms);
	return code;
}
