# Golden values of tests and corrections, from R. Writes comparisons_r.csv (key, value) beside this script:
#   Rscript tests/analysis/golden/comparisons.R > tests/analysis/golden/comparisons_r.csv
# Needs base R and the package exactRankTests.

suppressWarnings(suppressPackageStartupMessages(library(exactRankTests)))
say <- function(key, value) cat(sprintf("%s,%.12g\n", key, value))
cat(sprintf("# %s, exactRankTests %s\n", R.version.string, packageVersion("exactRankTests")))
cat("key,value\n")

# exact rank correlation for K = 3..8; the test repeats the same two formulas to get its data
for (k in 3:8) {
  x <- (7 * (1:k)) %% 11
  y <- (5 * (1:k)^2 + 3) %% 13 + (1:k) / 100
  say(sprintf("spearman_rho_%d", k), cor(x, y, method = "spearman"))
  say(sprintf("spearman_p_%d", k), cor.test(x, y, method = "spearman", exact = TRUE)$p.value)
  say(sprintf("kendall_tau_%d", k), cor(x, y, method = "kendall"))
  say(sprintf("kendall_p_%d", k), cor.test(x, y, method = "kendall", exact = TRUE)$p.value)
}

# stratified: mean of Spearman's rho over three data sets of 4, 3 and 5 classes, every pairing within each listed
orders <- function(n) {
  if (n == 1) return(matrix(1, 1, 1))
  rest <- orders(n - 1)
  do.call(rbind, lapply(1:n, function(first) cbind(first, matrix((1:n)[-first][rest], nrow(rest)))))
}
strata_x <- list(c(1, 2, 3, 4), c(2, 1, 3), c(5, 3, 4, 1, 2))
strata_y <- list(c(1, 2, 4, 3), c(3, 1, 2), c(5, 4, 3, 2, 1))
every <- function(method) lapply(seq_along(strata_x), function(s) {
  apply(orders(length(strata_x[[s]])), 1, function(o) cor(strata_x[[s]], strata_y[[s]][o], method = method))
})
for (method in c("spearman", "kendall")) {
  parts <- every(method)
  null <- as.vector(outer(outer(parts[[1]], parts[[2]], "+"), parts[[3]], "+")) / 3
  observed <- mean(mapply(function(a, b) cor(a, b, method = method), strata_x, strata_y))
  say(sprintf("stratified_%s", method), observed)
  say(sprintf("stratified_%s_p", method), mean(abs(null) >= abs(observed) - 1e-9))
}

# paired tests on Darwin's maize (Fisher 1935, section 21)
darwin <- c(49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48)
say("sign_flip_darwin", perm.test(darwin, rep(0, 15), paired = TRUE, exact = TRUE)$p.value)
say("wilcoxon_exact", wilcox.test(c(1.1, -0.4, 2.3, 0.9, -1.7, 3.1, 2.6, 0.2), exact = TRUE)$p.value)
tied <- c(1, 1, -1, 2, 0, 3, 2, -2, 4)
say("wilcoxon_tied", suppressWarnings(wilcox.test(tied, exact = FALSE, correct = FALSE)$p.value))
for (margin in c(10, 40)) {
  say(sprintf("tost_lower_%d", margin), t.test(darwin, mu = -margin, alternative = "greater")$p.value)
  say(sprintf("tost_upper_%d", margin), t.test(darwin, mu = margin, alternative = "less")$p.value)
}

# Cliff's delta by its definition
x <- c(3, 1, 4, 1, 5, 9, 2, 6); y <- c(5, 3, 5, 8, 9, 7, 9)
say("cliffs_delta", mean(sign(outer(x, y, "-"))))

# corrections
p <- c(0.001, 0.2, 0.013, 0.04, 0.013, 0.6)
for (i in seq_along(p)) {
  say(sprintf("holm_%d", i), p.adjust(p, "holm")[i])
  say(sprintf("bh_%d", i), p.adjust(p, "BH")[i])
}

# ICC(3,k) from the mean squares of aov, on the ratings of Shrout and Fleiss 1979, table 2
ratings <- matrix(c(9, 2, 5, 8, 6, 1, 3, 2, 8, 4, 6, 8, 7, 1, 2, 6, 10, 5, 6, 9, 6, 2, 4, 7), ncol = 4, byrow = TRUE)
long <- data.frame(score = as.vector(ratings), target = factor(row(ratings)), judge = factor(col(ratings)))
squares <- summary(aov(score ~ target + judge, long))[[1]][["Mean Sq"]]
ratio <- squares[1] / squares[3]
say("icc_3k", 1 - 1 / ratio)
say("icc_3k_low", 1 - qf(0.975, 5, 15) / ratio)
say("icc_3k_high", 1 - 1 / (ratio * qf(0.975, 15, 5)))

# Friedman: rounding first base (Hollander and Wolfe 1973, p. 140; the example of ?friedman.test), low is better
rounding <- matrix(c(
  5.40, 5.50, 5.55, 5.85, 5.70, 5.75, 5.20, 5.60, 5.50, 5.55, 5.50, 5.40, 5.90, 5.85, 5.70, 5.45, 5.55, 5.60,
  5.40, 5.40, 5.35, 5.45, 5.50, 5.35, 5.25, 5.15, 5.00, 5.85, 5.80, 5.70, 5.25, 5.20, 5.10, 5.65, 5.55, 5.45,
  5.60, 5.35, 5.45, 5.05, 5.00, 4.95, 5.50, 5.50, 5.40, 5.45, 5.55, 5.50, 5.55, 5.55, 5.35, 5.45, 5.50, 5.55,
  5.50, 5.45, 5.25, 5.65, 5.60, 5.40, 5.70, 5.65, 5.55, 6.30, 6.30, 6.25), ncol = 3, byrow = TRUE)
found <- friedman.test(rounding)
say("friedman_chi2", found$statistic)
say("friedman_p_chi2", found$p.value)
n <- nrow(rounding); k <- ncol(rounding)
f <- (n - 1) * found$statistic / (n * (k - 1) - found$statistic)
say("iman_davenport_f", f)
say("iman_davenport_p", pf(f, k - 1, (k - 1) * (n - 1), lower.tail = FALSE))
average <- colMeans(t(apply(rounding, 1, rank)))
for (pair in list(c(1, 2), c(1, 3), c(2, 3))) {
  q <- abs(average[pair[1]] - average[pair[2]]) / sqrt(k * (k + 1) / (12 * n))
  say(sprintf("nemenyi_p_%d%d", pair[1], pair[2]), ptukey(q, k, Inf, lower.tail = FALSE))
}
# critical values of Demsar 2006, table 5 (a): q / sqrt 2 at .05, and his example, CD of 4 methods on 14 data sets
for (k in 2:10) say(sprintf("nemenyi_q_%d", k), qtukey(0.95, k, Inf) / sqrt(2))
say("nemenyi_cd_4_14", qtukey(0.95, 4, Inf) / sqrt(2) * sqrt(4 * 5 / (6 * 14)))
