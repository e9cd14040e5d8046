/* The keys of headscaled.conf(5), their types and defaults, for libconfuse. */

#ifndef MASTER_CONF_SCHEMA_H
#define MASTER_CONF_SCHEMA_H

#include <confuse.h>

/* A new, empty configuration; cfg_free() it.  NULL without memory. */
cfg_t	*schema_new(void);

#endif
