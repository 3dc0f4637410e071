# Golden values for crossed random intercepts: Rscript crossed.R > crossed_r.json
# Oracle: lme4. Names that three data sets share in part, three runs each; the data are written here in full.
suppressMessages(library(lme4))
number <- function(x) paste0("[", paste(formatC(x, digits = 15, format = "g"), collapse = ", "), "]")
tight <- lmerControl(optCtrl = list(xtol_rel = 1e-12, ftol_rel = 1e-14, maxeval = 1e5))
out <- list()

name <- c("a", "b", "c", "d", "e", "f", "g", "h", "i", "a", "b", "c", "d", "e", "f", "j", "a", "b", "c", "g", "k", "l")
set <- rep(1:3, c(9, 7, 6))
x <- c(0.3, -1.1, 0.8, 1.9, -0.4, 0.6, -1.5, 1.2, -0.2, 0.1, -0.7, 1.3, 1.4, -0.9, 0.2, 0.5, 0.7, -1.3, 0.4, -1.0, 2.1, -0.6)
z <- c(1.1, 0.2, -0.8, 0.5, -1.2, 1.6, 0.4, -0.3, 0.9, 0.8, 0.6, -0.5, -0.1, -1.4, 1.2, -0.7, 1.5, -0.2, -0.9, 0.1, 0.3, -1.1)
u <- c(a = 0.9, b = -0.6, c = 0.3, d = 1.1, e = -1.2, f = 0.2, g = -0.5, h = 0.8, i = -0.9, j = 0.4, k = -0.3, l = 0.6)
w <- c(0.2, -0.3, 0.1, 0.4, -0.2, 0.3, -0.4, 0.1, 0.2, -0.1, 0.3, -0.2, 0.1, 0.2, -0.4, 0.3, 0.4, -0.1, -0.3, 0.2, -0.2, 0.1)
e <- c(0.30, -0.10, -0.20, 0.15, -0.25, 0.10, 0.05, 0.20, -0.25, 0.12, -0.17)
d <- data.frame(name = rep(name, each = 3), set = factor(rep(set, each = 3)), cell = factor(rep(1:22, each = 3)),
                x = rep(x, each = 3), z = rep(z, each = 3))
d$v <- 0.5 * d$x + rep(u[name] + w, each = 3) + rep(e, 6)
fit <- function(rows) {
  g <- lmer(v ~ 0 + set + x + z + (1 | cell) + (1 | name), d[rows, ], control = tight)
  k <- coef(summary(g))[c("x", "z"), ]
  c(k[, 1], k[, 2], attr(VarCorr(g)$name, "stddev"), attr(VarCorr(g)$cell, "stddev"), sigma(g))
}
out$value <- number(d$v); out$x <- number(x); out$z <- number(z); out$set <- number(set)
out$name <- number(match(name, letters))
out$crossed <- number(fit(seq_len(nrow(d))))  # slopes, errors, sd of name, class, runs
out$crossed_unbalanced <- number(fit(-c(2, 8, 9, 25, 40, 41)))
out$oracle <- sprintf('"R %s.%s, lme4 %s"', R.version$major, R.version$minor, packageVersion("lme4"))
cat("{\n", paste0('  "', names(out), '": ', unlist(out), collapse = ",\n"), "\n}\n", sep = "")
