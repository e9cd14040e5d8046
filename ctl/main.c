#include <sys/ioctl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "ctl/run.h"

#define SOCKET		"/run/headscaled/headscaled.sock"
#define PROGRAM		"headscalectl"

/* What common has to say goes the way of our own errors. */
static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	(void)fprintf(stderr, PROGRAM ": %s\n", line);
}

static bool
on_terminal(const char *question, void *arg)
{
	char line[16] = "";
	size_t n;

	(void)arg;
	(void)fprintf(stderr, "%s [y/N] ", question);
	if (fgets(line, sizeof(line), stdin) == NULL)
		return false;
	n = strcspn(line, "\n");
	line[n] = '\0';
	return strcmp(line, "y") == 0 || strcmp(line, "Y") == 0 ||
	    strcmp(line, "yes") == 0;
}

/* 0: as wide as it likes. */
static unsigned int
terminal_width(bool tty)
{
	struct winsize ws;
	const char *text, *why;
	long long n;

	if ((text = getenv("COLUMNS")) != NULL) {
		n = strtonum(text, 1, 10000, &why);
		if (why == NULL)
			return (unsigned int)n;
	}
	if (!tty)
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == -1 || ws.ws_col == 0)
		return 80;
	return ws.ws_col;
}

static bool
wants_colour(bool tty)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return tty && (no == NULL || *no == '\0') && term != NULL &&
	    strcmp(term, "dumb") != 0;
}

static int
write_out(const struct buf *b)
{
	if (fwrite(b->p, 1, b->n, stdout) == b->n && fflush(stdout) == 0)
		return 0;
	perror(PROGRAM ": standard output");
	return RUN_FAILED;
}

int
main(int argc, char *argv[])
{
	struct command cmd;
	struct run_conf conf;
	struct out o;
	const char *env;
	char why[1024] = "";
	bool tty = isatty(STDOUT_FILENO) == 1;
	int rc;

	log_capture(on_log, NULL);
	memset(&o, 0, sizeof(o));
	memset(&conf, 0, sizeof(conf));
	if (grammar_parse(&cmd, argc - 1, argv + 1, why, sizeof(why)) == -1) {
		(void)fprintf(stderr, PROGRAM ": %s\n", why);
		(void)fprintf(stderr, "try: " PROGRAM " help\n");
		return RUN_USAGE;
	}
	env = getenv("HEADSCALED_SOCKET");
	conf.socket = cmd.arg[ARG_SOCKET] != NULL ? cmd.arg[ARG_SOCKET] :
	    env != NULL && *env != '\0' ? env : SOCKET;
	if (isatty(STDIN_FILENO) == 1)
		conf.confirm = on_terminal;
	o.json = (cmd.flags & F_JSON) != 0;
	o.verbose = (cmd.flags & F_VERBOSE) != 0;
	o.colour = wants_colour(tty);
	o.width = terminal_width(tty);
	o.now = time(NULL);
	rc = run_command(&cmd, &conf, &o, why, sizeof(why));
	if (o.text.n > 0 && write_out(&o.text) != 0 && rc == RUN_OK)
		rc = RUN_FAILED;
	if (o.err.n > 0)
		(void)fwrite(o.err.p, 1, o.err.n, stderr);
	if (rc != RUN_OK && why[0] != '\0')
		(void)fprintf(stderr, PROGRAM ": %s\n", why);
	buf_free(&o.err);
	buf_wipe(&o.text);
	return rc;
}
