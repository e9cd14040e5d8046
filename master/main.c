#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/compat/sys.h"
#include "common/log.h"
#include "common/str.h"
#include "common/version.h"
#include "master/conf.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/path.h"
#include "master/spawn.h"

#define MACROS_MAX	64

/* The shell's end waits at the other end of this pipe; -1: nobody does. */
static int	waiting = -1;

static void __attribute__((__noreturn__))
usage(void)
{
	(void)fprintf(stderr, "usage: headscaled [-dnVv] [-D macro=value] "
	    "[-f file]\n");
	exit(2);
}

/* All serve: the terminal is let go. */
static void
let_go(bool to_stderr)
{
	int fd;

	if (waiting == -1)
		return;
	if ((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) != -1) {
		(void)dup2(fd, STDIN_FILENO);
		(void)dup2(fd, STDOUT_FILENO);
		if (!to_stderr)
			(void)dup2(fd, STDERR_FILENO);
		(void)close(fd);
	}
	if (write(waiting, "", 1) == -1)
		log_warn("parent");
	(void)close(waiting);
	waiting = -1;
}

/*
 * Goes to the background.  The parent stays until the server serves, so that
 * what fails is seen where it was typed, and in the exit code.
 */
static void
go_background(void)
{
	int fd[2], status;
	char c;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) == -1 || (pid = fork()) == -1)
		fatal("fork");
	if (pid != 0) {
		(void)close(fd[1]);
		if (read(fd[0], &c, 1) == 1)
			_exit(0);
		_exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status) ?
		    WEXITSTATUS(status) : 1);
	}
	(void)close(fd[0]);
	waiting = fd[1];
	if (setsid() == -1)
		fatal("setsid");
	if (chdir("/") == -1)
		fatal("chdir");
}

static void
add_macro(struct scan_macro *macros, size_t *n, char *text)
{
	char *eq = strchr(text, '=');

	if (eq == NULL || !scan_name_ok(text, (size_t)(eq - text)) ||
	    *n == MACROS_MAX) {
		(void)fprintf(stderr, "headscaled: -D wants name=value\n");
		usage();
	}
	*eq = '\0';
	macros[*n].name = text;
	macros[(*n)++].value = eq + 1;
}

/* A missing 0, 1 or 2 must not become a link or a listener. */
static void
fill_fds(void)
{
	int fd;

	do {
		if ((fd = open("/dev/null", O_RDWR)) == -1)
			exit(1);
	} while (fd <= STDERR_FILENO);
	(void)close(fd);
	closefrom(STDERR_FILENO + 1);
}

static char *
absolute(const char *path)
{
	char cwd[PATH_MAX];

	if (path[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
		return xstrdup(path);
	return path_join(cwd, path);
}

int
main(int argc, char **argv)
{
	static struct scan_macro macros[MACROS_MAX];
	static struct master_args args = {
		.conf = CONF_PATH, .macros = macros
	};
	struct master *ms;
	bool check = false;
	int ch;

	fill_fds();
	(void)umask(022);
	/* First: titles are written over argv, which is copied here. */
	compat_title_init(argc, argv);
	args.self = spawn_self(argv[0]);
	notify_init();
	while ((ch = getopt(argc, argv, "D:df:nVv")) != -1) {
		switch (ch) {
		case 'D':
			add_macro(macros, &args.nmacros, optarg);
			break;
		case 'd':
			args.foreground = true;
			break;
		case 'f':
			args.conf = optarg;
			break;
		case 'n':
			check = true;
			break;
		case 'V':
			(void)printf("headscaled %s\n", HEADSCALED_VERSION);
			return 0;
		case 'v':
			args.verbose++;
			break;
		default:
			usage();
		}
	}
	if (argc != optind)
		usage();
	if (!args.foreground && !check)
		args.conf = absolute(args.conf);
	log_init("headscaled", STDERR_FILENO, false, 0);
	ms = master_new(&args);
	if (check)
		return master_check(ms);
	if (!args.foreground) {
		args.serving = let_go;
		go_background();
	}
	return master_run(ms);
}
