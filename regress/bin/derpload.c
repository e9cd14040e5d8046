/*
 * Loads a DERP relay and says what it did, one JSON object a step.
 *
 *	derpload [-fp] [-n name] [-P pid] [-k n] [-w ms] address:port step ...
 *
 * -f: fast start.  -p: no TLS.  -n: SNI and Host.  -P: a process of the relay
 * (its children count as well), up to eight times.  -k: packets in a TLS
 * record, 1.  -w: ms before what is measured, 1,000.
 *
 *	login:CLIENTS[:AT-ONCE]		logs in clients, who stay
 *	idle:SECONDS			counts the keep-alives of those
 *	storm:SECONDS[:AT-ONCE]		logs in and resets, again and again
 *	get:SECONDS[:AT-ONCE]		TLS and GET /generate_204, likewise
 *	window:PAIRS:SIZE:WINDOW:SECONDS
 *					pairs bounce a window of packets
 *	open:PAIRS:SIZE:RATE:SECONDS	packets at a rate, one way
 */

#include <sys/types.h>

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "regress/lib/derpload.h"

#define AT_ONCE	50

static void __attribute__((__noreturn__))
usage(void)
{
	(void)fprintf(stderr, "usage: derpload [-fp] [-n name] [-P pid] "
	    "[-k n] [-w ms] address:port step ...\n");
	exit(2);
}

static double
number(char **s, double none)
{
	char *p = strsep(s, ":"), *end;
	double v;

	if (p == NULL)
		return none;
	v = strtod(p, &end);
	if (end == p || *end != '\0' || v < 0 || v > 1e9)
		fatalx("%s: not a number", p);
	return v;
}

static bool
run(struct dl *dl, const char *text)
{
	struct dl_step step = { .name = text, .in_flight = AT_ONCE };
	char *copy = strdup(text), *s = copy, *what;
	bool ok = false;

	if (copy == NULL)
		fatal("strdup");
	what = strsep(&s, ":");
	if (strcmp(what, "login") == 0) {
		step.clients = (unsigned int)number(&s, 1);
		step.in_flight = (unsigned int)number(&s, AT_ONCE);
		ok = dl_step_login(dl, &step);
	} else if (strcmp(what, "idle") == 0) {
		step.seconds = number(&s, 130);
		ok = dl_step_idle(dl, &step);
	} else if (strcmp(what, "storm") == 0 || strcmp(what, "get") == 0) {
		step.seconds = number(&s, 5);
		step.in_flight = (unsigned int)number(&s, AT_ONCE);
		ok = dl_step_storm(dl, &step, *what == 'g');
	} else if (strcmp(what, "window") == 0 || strcmp(what, "open") == 0) {
		step.pairs = (unsigned int)number(&s, 1);
		step.size = (unsigned int)number(&s, 1200);
		if (*what == 'w')
			step.window = (unsigned int)number(&s, 16);
		else
			step.rate = number(&s, 1000);
		step.seconds = number(&s, 5);
		if (step.pairs == 0 || step.size < DL_PACKET_MIN ||
		    step.size > 65536)
			fatalx("%s: out of range", text);
		ok = dl_step_pairs(dl, &step);
	} else
		usage();
	free(copy);
	(void)fflush(stdout);
	return ok;
}

static void
resolve(struct dl_conf *conf, const char *at)
{
	struct addrinfo want = { .ai_socktype = SOCK_STREAM }, *ai;
	char *copy = strdup(at), *colon;

	if (copy == NULL)
		fatal("strdup");
	if ((colon = strrchr(copy, ':')) == NULL)
		usage();
	*colon++ = '\0';
	if (getaddrinfo(copy, colon, &want, &ai) != 0)
		fatalx("%s: no address", at);
	memcpy(&conf->addr, ai->ai_addr, ai->ai_addrlen);
	conf->addr_len = ai->ai_addrlen;
	freeaddrinfo(ai);
	free(copy);
}

static unsigned int
option(const char *s, unsigned int least, unsigned int most)
{
	const char *why;
	unsigned int v;

	v = (unsigned int)strtonum(s, least, most, &why);
	if (why != NULL)
		fatalx("%s: %s", s, why);
	return v;
}

int
main(int argc, char **argv)
{
	struct dl_conf conf = { .pack = 1, .warm_ms = 1000 };
	struct dl *dl;
	int ch, rc = 0;

	log_init("derpload", STDERR_FILENO, false, 0);
	if (sodium_init() == -1)
		fatalx("libsodium");
	while ((ch = getopt(argc, argv, "fk:n:P:pw:")) != -1)
		switch (ch) {
		case 'f':
			conf.fast = true;
			break;
		case 'k':
			conf.pack = option(optarg, 1, 1000);
			break;
		case 'n':
			conf.sni = optarg;
			break;
		case 'P':
			if (conf.npids == DL_PIDS)
				usage();
			conf.pids[conf.npids++] = (int)option(optarg, 1,
			    INT32_MAX);
			break;
		case 'p':
			conf.plain = true;
			break;
		case 'w':
			conf.warm_ms = option(optarg, 0, 60000);
			break;
		default:
			usage();
		}
	argc -= optind;
	argv += optind;
	if (argc < 2)
		usage();
	resolve(&conf, *argv++);
	dl = dl_new(&conf);
	for (; *argv != NULL; argv++)
		if (!run(dl, *argv))
			rc = 1;
	dl_free(dl);
	return rc;
}
