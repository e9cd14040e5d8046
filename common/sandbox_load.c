#ifdef __linux__

#include <sys/syscall.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/sandbox_int.h"

struct program {
	const struct sock_filter	*op;
	size_t				 n;
};

#include "common/sandbox_gen.h"

#define OPS_MAX	1024
#define HEAP	(1024 * 1024)	/* octets, of a role that gets no more */

#ifdef SANDBOX_TEST_BUILD
int	__lsan_is_turned_off(void);

static bool entered;

/* The leak check traces its process from another one, which none here can. */
int
__lsan_is_turned_off(void)
{
	return entered;
}
#endif

/*
 * No allocator: what a process of a few milliseconds costs is pages.  The
 * kernel takes its copy.
 */
static void
load(const struct program *p)
{
	struct sock_filter op[OPS_MAX];
	struct sock_fprog prog;
	size_t i;

	if (p->n == 0 || p->n > OPS_MAX)
		fatalx("sandbox: no filter");
	for (i = 0; i < p->n; i++) {
		op[i] = p->op[i];
		if (op[i].code == (BPF_JMP | BPF_JEQ | BPF_K) &&
		    op[i].k == SANDBOX_PID)
			op[i].k = (uint32_t)getpid();
	}
	prog.len = (unsigned short)p->n;
	prog.filter = op;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == -1)
		fatal("sandbox: filter cannot be loaded");
}

/*
 * Of two equal verdicts the kernel takes that of the filter loaded last; the
 * first one allows that the other is loaded.
 */
void
sandbox_filter(enum role role)
{
	const struct program *outer;

	if (role == ROLE_NONE || role >= ROLE_MAX ||
	    programs[PART_ROLE][role].n == 0)
		fatalx("sandbox: no rights are written down for %s",
		    role_name(role));
#ifdef SANDBOX_TEST_BUILD
	log_warnx("sandbox: open for AddressSanitizer, do not use this build");
	entered = true;
#endif
	outer = &programs[PART_OUTER][role];
	load(&programs[PART_ROLE][role]);
	load(outer->n != 0 ? outer : &programs[PART_OUTER][ROLE_NONE]);
}

void
sandbox_started(enum role role)
{
	if (programs[PART_STARTED][role].n == 0)
		return;
#ifndef SANDBOX_TEST_BUILD	/* which needs memory again and again */
	if (!compat_heap_keep(HEAP))
		fatal("sandbox: memory cannot be set aside");
	load(&programs[PART_STARTED][role]);
#endif
}

#endif
