/* From a problem and a device's facts to the launches that solve it. Pure: no OpenCL, no environment, no clock. */
#ifndef CA_PLAN_SELECT_H
#define CA_PLAN_SELECT_H

#include "choice.h"

#define CA_SELECTION_BYTES 8192

/* Takes the variant of the tuned row for such problems where facts have one and it accepts; else walks the variants in
 * order, and the first that accepts wins. `selection` (may be NULL) receives one line a variant looked at: "ID: taken"
 * or "ID: refused, needs 20480 bytes of local memory, has 16384"; on failure the same lines go to the report. An
 * operation CA_OP_ATTENTION with path auto or staged becomes the three stages where it must.
 * @error CLATTN_UNKNOWN_VARIANT (problem->variant matches nothing; the detail lists what there is),
 * CLATTN_UNSUPPORTED (every match refused) */
clattn_status ca_select(const ca_problem *problem, const ca_facts *facts, ca_choice *choice,
                        char selection[CA_SELECTION_BYTES], clattn_report *report);

/* "tiled_attention", in order of preference within each operation; NULL past the last. */
const char *ca_variant_name(uint32_t index);

/* The id of a variant that takes the problem when it is named, whatever the rules of speed say: index 0 upwards in
 * order of preference; false past the last. */
bool ca_select_candidate(const ca_problem *problem, const ca_facts *facts, uint32_t index,
                         char id[CA_VARIANT_ID_BYTES]);

/* How a projection variant wants its weights. */
typedef struct ca_weights_layout {
  int32_t dtype; /* storage type on the device */
  int32_t panel; /* columns of a panel, [panel][E][columns] filled up with zeros; 0: dense rows [N,E] */
} ca_weights_layout;

/* The layout for weights of type dtype under a variant, NULL: the library's choice. Panels are for one family, which
 * the device must suit; dense rows are for all others, so their sizes do not matter. Whether a projection can be made
 * is for its plan to say. */
clattn_status ca_select_weights(int32_t dtype, const char *variant, const ca_facts *facts, ca_weights_layout *layout,
                                clattn_report *report);

#endif
