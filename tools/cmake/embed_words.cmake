# cmake -DIN=file -DOUT=file.c -DNAME=name -P embed_words.cmake
# Writes a file as an array of 64-bit words, little-endian as the file's numbers are: compilers read a megabyte of words
# in a fraction of the time that they need for as many single bytes.
file(SIZE "${IN}" bytes)
file(READ "${IN}" hex HEX)
math(EXPR pad "(8 - ${bytes} % 8) % 8")
string(REPEAT "00" ${pad} zeros)
string(REGEX REPLACE "(..)(..)(..)(..)(..)(..)(..)(..)" "0x\\8\\7\\6\\5\\4\\3\\2\\1u,\n" words "${hex}${zeros}")
get_filename_component(source "${IN}" NAME)
file(WRITE "${OUT}.tmp" "/* Made by embed_words.cmake from ${source}. */\n#include \"${NAME}.h\"\n\n"
     "const uint64_t ${NAME}_words[] = {\n${words}};\nconst size_t ${NAME}_bytes = ${bytes};\n")
file(RENAME "${OUT}.tmp" "${OUT}")
