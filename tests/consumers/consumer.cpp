// The header as C++ reads it.
#include <clattn/clattn.h>

int main()
{
  clattn_attention_desc desc = CLATTN_ATTENTION_DESC_INIT;
  return desc.struct_size == sizeof desc && clattn_version() != 0 ? 0 : 1;
}
