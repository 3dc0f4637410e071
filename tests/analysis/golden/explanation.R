# Golden values for explaining the learned bias: Rscript explanation.R > explanation_r.json
# Oracles: base R (lm refitted for every order), lme4, car. The data are written here in full.
suppressMessages({library(lme4); library(car)})

number <- function(x) paste0("[", paste(formatC(x, digits = 15, format = "g"), collapse = ", "), "]")
out <- list()

# 1. Freedman-Lane: y given z, tested x; ranks within data sets, intercept per data set, slopes shared.
y <- c(2.1, 0.3, 1.7, 3.9, 2.8,  1.2, 0.4, 3.3, 2.5)
x <- c(0.9, 0.1, 1.5, 2.2, 3.1,  1.1, 0.2, 1.9, 3.0)
w <- c(1.4, 2.0, 0.3, 1.1, 2.7,  2.2, 0.9, 1.6, 0.5)
z <- c(5.0, 1.0, 3.0, 4.0, 2.0,  2.0, 1.0, 3.0, 4.0)
s <- rep(1:2, c(5, 4))
scaled <- function(v) ave(v, s, FUN = function(u) { r <- rank(u); (r - mean(r)) / sqrt(mean((r - mean(r))^2)) })
orders <- function(v) if (length(v) < 2) list(v) else
  do.call(c, lapply(seq_along(v), function(i) lapply(orders(v[-i]), function(rest) c(v[i], rest))))
freedman_lane <- function(rows, tested) {
  Y <- scaled(y)[rows]; Z <- scaled(z)[rows]; X <- sapply(tested, scaled)[rows, , drop = FALSE]; S <- factor(s[rows])
  design <- if (nlevels(S) > 1) model.matrix(~ S + Z) else model.matrix(~ Z)
  reduced <- lm.fit(design, Y)
  rss <- function(v, D) sum(lm.fit(D, v)$residuals^2)
  f <- function(v) 1 - rss(v, cbind(design, X)) / rss(v, design)
  observed <- f(Y)
  places <- lapply(levels(S), function(l) orders(which(S == l)))
  combined <- Reduce(function(a, b) unlist(lapply(a, function(p) lapply(b, function(q) c(p, q))), recursive = FALSE), places)
  values <- sapply(combined, function(p) f(reduced$fitted.values + reduced$residuals[p]))
  c(observed, mean(values >= observed - 1e-9), mean(values >= max(values) - 1e-9))
}
out$one_stratum <- number(freedman_lane(1:5, list(x)))
out$two_strata <- number(freedman_lane(1:9, list(x)))
out$block <- number(freedman_lane(1:9, list(x, w)))
out$partial_rho <- number({
  e <- function(v) residuals(lm(scaled(v) ~ factor(s) + scaled(z)))
  cor(e(y), e(x))
})

# 2. Variance inflation within data sets.
within <- function(v) v - ave(v, s)
out$vif <- number(vif(lm(y ~ within(x) + within(w) + within(z))))

# 3. Mixed model: (1 | class), data sets fixed; an interior and a singular fit, balanced and not.
u <- c(0.9, -0.4, 0.2, -0.8, 0.5, 0.1, -0.6, 0.7, -0.3, 0.4, -0.9, 0.3)
m <- data.frame(class = factor(rep(1:12, each = 3)), set = factor(rep(1:2, c(18, 18))),
                a = rep(c(1.2, 0.4, -0.7, 0.1, 1.9, -1.1, 0.3, -0.5, 0.8, 1.4, -0.2, -1.6), each = 3),
                b = rep(c(0.2, 1.1, -0.3, 0.9, -1.2, 0.6, -0.8, 0.5, 1.3, -0.4, 0.7, -0.1), each = 3))
e <- rep(c(0.30, -0.10, -0.20, 0.15, -0.25, 0.10, 0.05, 0.20, -0.25), 4)
fit <- function(v, rows = seq_len(nrow(m))) {
  d <- cbind(m, v = v)[rows, ]
  suppressMessages(g <- lmer(v ~ 0 + set + a + b + (1 | class), d, control = lmerControl(optCtrl = list(xtol_rel = 1e-12, ftol_rel = 1e-14))))
  k <- coef(summary(g))[c("a", "b"), ]
  c(k[, 1], k[, 2], attr(VarCorr(g)$class, "stddev"), sigma(g), isSingular(g))
}
out$mixed_interior <- number(fit(0.8 * m$a + rep(u, each = 3) + e))
out$mixed_unbalanced <- number(fit(0.8 * m$a + rep(u, each = 3) + e, -c(2, 8, 9, 25)))
out$mixed_singular <- number(fit(0.8 * m$a + e))

# 4. All subsets: R squared of lm(mpg ~ ...) on R's mtcars, predictors am, vs, cyl, wt.
p <- c("am", "vs", "cyl", "wt")
out$mtcars <- number(c(mtcars$mpg, as.matrix(mtcars[, p])))
r2 <- sapply(0:15, function(k) {
  chosen <- p[bitwAnd(k, 2^(0:3)) > 0]
  if (length(chosen)) summary(lm(reformulate(chosen, "mpg"), mtcars))$r.squared else 0
})
out$subset_r2 <- number(r2)
at <- function(...) r2[1 + sum(2^(match(c(...), p) - 1))]
adjusted <- sapply(1:15, function(k) summary(lm(reformulate(p[bitwAnd(k, 2^(0:3)) > 0], "mpg"), mtcars))$adj.r.squared)
out$subset_adjusted <- number(adjusted)
# General dominance as the gain in R squared, averaged over every order of entering (Lindeman, Merenda and Gold 1980).
gains <- sapply(orders(p), function(o) sapply(p, function(v) {
  before <- o[seq_len(match(v, o) - 1)]
  at(before, v) - (if (length(before)) at(before) else 0)
}))
out$dominance <- number(rowMeans(gains))
# Commonality of am, vs, cyl by the formulas for three predictors (Nimon et al. 2008, table 1).
A <- at("am"); B <- at("vs"); C <- at("cyl"); AB <- at("am", "vs"); AC <- at("am", "cyl"); BC <- at("vs", "cyl")
ABC <- at("am", "vs", "cyl")
out$commonality_of_three <- number(c(ABC - BC, ABC - AC, AC + BC - C - ABC, ABC - AB, AB + BC - B - ABC, AB + AC - A - ABC,
                                     A + B + C - AB - AC - BC + ABC))
out$oracle <- sprintf('"R %s.%s, lme4 %s, car %s"', R.version$major, R.version$minor, packageVersion("lme4"), packageVersion("car"))
cat("{\n", paste0('  "', names(out), '": ', unlist(out), collapse = ",\n"), "\n}\n", sep = "")
