/*
 * Whether a Go client's encoding/json would take a text as one of Tailscale's
 * types (protocol.md 2.2, 2.3): one wrong type anywhere, and it throws the
 * whole message away (trap 22).
 */

#ifndef REGRESS_LIB_GOJSON_H
#define REGRESS_LIB_GOJSON_H

#include "common/str.h"

/*
 * type: "MapResponse" or "RegisterResponse".  NULL if it fits; else where it
 * does not, in a static buffer.  A member that the type does not have counts
 * as wrong, though Go ignores it: it is a name that we got wrong.
 */
const char	*gojson_check(const char *type, struct slice text);

#endif
