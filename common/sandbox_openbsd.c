#ifdef __OpenBSD__

#include <unistd.h>

#include "common/log.h"
#include "common/sandbox.h"
#include "common/sandbox_int.h"

/*
 * stdio	memory, time, read and write on what is open, messages
 *		without descriptors: no process lives without it
 * recvfd	listeners, links and files come down on CFG as descriptors
 * inet		accept(2) and options of TCP connections, and for stun
 *		answers on UDP, for out connect(2); to the others it allows
 *		that, too, which seccomp does not: pf.conf(5) must block it,
 *		by user
 * unix		accept(2) on the control socket, and whose it is
 * rpath, wpath, cpath
 *		the database and its journals, opened anew for transactions
 * rpath	out: the three files of its folder
 * flock	SQLite's locks
 *
 * dbd sends no descriptors here, since there are no sealed files in memory:
 * snapshots go in chunks.
 */
static const char *
promises(enum role role)
{
	switch (role) {
	case ROLE_WORKER:
		return "stdio recvfd inet";
	case ROLE_KEYD:
		return "stdio recvfd";
	case ROLE_DBD:
		return "stdio recvfd unix rpath wpath cpath flock";
	case ROLE_STUN:
		return "stdio recvfd inet";
	case ROLE_OUT:
		return "stdio recvfd inet rpath";
	case ROLE_POLICYC:
		return "stdio";
	default:
		fatalx("sandbox: no rights are written down for %s",
		    role_name(role));
	}
}

void
sandbox_enter(const struct sandbox_conf *conf)
{
	const char *promise = promises(conf->role);
	int rc;

	sandbox_drop(conf);
	sandbox_prove(conf);
	if (getppid() != sandbox_parent())
		_exit(0);	/* no parent-death signal here: CFG's end */
	/* One folder for dbd and out, nothing at all for the others. */
	if (conf->role == ROLE_DBD)
		rc = unveil(sandbox_folder(conf), "rwc");
	else if (conf->role == ROLE_OUT)
		rc = unveil(sandbox_folder(conf), "r");
	else
		rc = unveil("/", "");
	if (rc == -1 || unveil(NULL, NULL) == -1)
		fatal("unveil");
	/* A broken promise ends the process with a core that limits forbid. */
	if (pledge(promise, NULL) == -1)
		fatal("pledge");
}

/* stdio is as little as can be said, and stun needs the rest to the end. */
void
sandbox_started(enum role role)
{
	(void)role;
}

#endif
