#include <stddef.h>

#include "common/log.h"
#include "regress/lib/quiet.h"

static void
swallow(int level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

void
quiet_log(void)
{
	log_capture(swallow, NULL);
}
