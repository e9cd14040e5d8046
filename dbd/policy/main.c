#include <sys/socket.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#include "common/compat/compat.h"
#include "common/compat/sys.h"
#include "common/ev.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "dbd/policy/policy.h"
#include "dbd/policy/serve.h"

#define NAME		"headscaled-policyc"
#define POL_FD		3
#define QUEUE_MAX	((size_t)128 * 1024 * 1024)

/* Ends and limits are master's: a signal to us alone means nothing. */
static void
ignore_signals(void)
{
	static const int none[] = {
		SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM
	};
	size_t i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (signal(none[i], SIG_IGN) == SIG_ERR)
			fatal("signal %d", none[i]);
}

static bool
is_link(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	return getpeername(fd, (struct sockaddr *)&ss, &len) == 0 &&
	    ss.ss_family == AF_UNIX;
}

static unsigned int
number(const char *s, const char *what)
{
	const char *err;
	long long n;

	n = strtonum(s, 1, UINT32_MAX - 1, &err);
	if (err != NULL)
		fatalx("%s is %s", what, err);
	return (unsigned int)n;
}

static void
on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	(void)tag;
	serve_msg(arg, l, m);
}

/* dbd has its answer, or wants none. */
static void
on_down(struct link *l, enum link_why why, void *arg)
{
	(void)l;
	(void)arg;
	if (why == LINK_EOF)
		exit(0);
	fatalx("link to dbd is down: %s", link_why_text(why));
}

/* argv: room for the title, where the log goes, then uid, gid, chroot. */
static void __attribute__((__noreturn__))
serve(int argc, char **argv)
{
	struct sandbox_conf conf;
	struct link_conf lc;
	struct ev *ev;

	sandbox_fds();
	log_init(NAME, STDERR_FILENO, strcmp(argv[2], "syslog") == 0, 0);
	ignore_signals();
	(void)umask(077);
	memset(&conf, 0, sizeof(conf));
	conf.role = ROLE_POLICYC;
	conf.dir = "/";
	if (argc == 6) {
		conf.drop = true;
		conf.uid = number(argv[3], "uid");
		conf.gid = number(argv[4], "gid");
		conf.dir = xstrdup(argv[5]);
	}
	compat_title_init(argc, argv);
	setproctitle("compiles a policy");
	ev = ev_new();		/* before the filter: it makes descriptors */
	sandbox_enter(&conf);
	memset(&lc, 0, sizeof(lc));
	lc.kind = LINK_POL;
	lc.self = ROLE_POLICYC;
	lc.peer = ROLE_DBD;
	lc.queue_max = QUEUE_MAX;
	lc.on_msg = on_msg;
	lc.on_down = on_down;
	lc.arg = serve_new();
	(void)ev_link(ev, &lc, POL_FD);
	ev_run(ev, NULL, NULL);
	exit(0);
}

static void
usage(void)
{
	(void)fprintf(stderr, "usage: " NAME " -n file [-d domain]...\n"
	    "It is started by headscaled(8) else.\n");
	exit(2);
}

/* One octet more than a policy may have is enough to be refused. */
static void
read_file(const char *path, struct buf *b)
{
	ssize_t n = 1;
	int fd = STDIN_FILENO;

	if (strcmp(path, "-") != 0 &&
	    (fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		fatal("%s", path);
	while (n > 0 && b->n <= POLICY_TEXT_MAX) {
		n = read(fd, buf_room(b, 65536), 65536);
		if (n == -1)
			fatal("%s", path);
		b->n += (size_t)n;
	}
	if (fd != STDIN_FILENO)
		(void)close(fd);
}

/* Text alone, without users: what can be said of a file anywhere. */
static int
check(const char *path, const struct slice *domain, size_t ndomains)
{
	const struct tailnet_info info = { NULL, 0, domain, ndomains, false };
	struct buf in = { NULL, 0, 0 }, text = in, detail = in;
	struct pol_error e = { &text, &detail, { 0, 0 } };
	bool tests;
	int rc;

	read_file(path, &in);
	rc = policy_compile(buf_slice_of(&in), &info, NULL, NULL, &e, &tests);
	if (rc == 0)
		(void)printf("ok\n");
	else if (e.pos.line != 0)
		(void)fprintf(stderr, "%s:%u:%u: %.*s\n", path, e.pos.line,
		    e.pos.column, SLICE_FMT(buf_slice_of(&text)));
	else
		(void)fprintf(stderr, "%s: %.*s\n", path,
		    SLICE_FMT(buf_slice_of(&text)));
	(void)fprintf(stderr, "%.*s", SLICE_FMT(buf_slice_of(&detail)));
	buf_free(&in);
	buf_free(&text);
	buf_free(&detail);
	return rc == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
	struct slice domain[64];
	const char *path = NULL;
	size_t n = 0;
	int ch;

	if (argc > 1 && argv[1][0] == ' ') {
		if ((argc != 3 && argc != 6) || !is_link(POL_FD))
			usage();
		serve(argc, argv);
	}
	while ((ch = getopt(argc, argv, "d:n:")) != -1)
		switch (ch) {
		case 'd':
			if (n == 64)
				usage();
			domain[n++] = slice_str(optarg);
			break;
		case 'n':
			path = optarg;
			break;
		default:
			usage();
		}
	if (path == NULL || optind != argc)
		usage();
	log_init(NAME, STDERR_FILENO, false, 0);
	return check(path, domain, n);
}
