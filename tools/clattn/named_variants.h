/* What --variant names, and which stages of a run take it. */
#ifndef CLATTN_TOOLS_NAMED_VARIANTS_H
#define CLATTN_TOOLS_NAMED_VARIANTS_H

#include "pipeline.h"

/* Whether each entry is an id, or a leading part of one, of any variant of this library; or false with a complaint. */
bool named_variants_exist(const char *verb, const pipeline_options *options);

/* The entry that a stage of this operation is planned with; NULL: the library chooses. */
const char *named_variant_for(const pipeline_options *options, const char *operation);

/* The same for the stage of attention, fused or staged, and the path that it is planned on. */
const char *named_variant_of_attention(const pipeline_options *options);
int32_t named_path(const pipeline_options *options);

/* Whether any stage of a run is planned with this entry; the complaint if none is. */
bool named_variant_is_used(const layer *l, const pipeline_options *options, int entry);
void named_variant_complain(const char *verb, const char *input, const layer *l, const pipeline_options *options,
                            int entry);

#endif
