"""What evaluations come to, and whether two of them differ.

samples     a row per sample, in a Parquet file
statistics  accuracy with its interval, pass@k       majority   maj@k
summary     the rows of one set → its numbers        result     `result.json`, its one shape
report      the same for people                      pictures   the same as PNGs
finish      all of these files, from the rows
comparison  pairs two results, problem by problem    compare    `openrs compare`
detection   how many samples tell a difference
    pairing     which results can be compared at all     comparison  whether they differ
    compare     `openrs compare`
    detection   how many samples tell a difference
"""
