# Golden values of the hierarchical model: Rscript hierarchical.R > hierarchical_r.csv
# Oracle: R's integrate. With normal errors the mean is integrated out in closed form (Gelman et al. 2013, Bayesian Data
# Analysis, eq. 5.20 and 5.21); with Student's t the difference of each data set is integrated numerically instead.
cat(sprintf("# R %s.%s\nkey,value\n", R.version$major, R.version$minor))
out <- function(key, value) cat(sprintf("%s,%.10g\n", key, value))
whole <- function(f, ...) integrate(Vectorize(f), ..., rel.tol = 1e-9, subdivisions = 2000L)$value

# eight schools (Rubin 1981), divided by 100: half Cauchy with scale .05, region of .03
y <- c(28, 8, -3, 7, -1, 1, 18, 12) / 100
s <- c(15, 10, 16, 11, 9, 11, 10, 18) / 100
m <- 0.03; scale <- 0.05
weight <- function(tau) 1 / (s^2 + tau^2)
centre <- function(tau) sum(weight(tau) * y) / sum(weight(tau))
post <- function(tau) {
  v <- 1 / sum(weight(tau))
  2 / (pi * scale * (1 + (tau / scale)^2)) * sqrt(v) * prod(dnorm(y, centre(tau), sqrt(s^2 + tau^2)))
}
total <- whole(post, 0, Inf)
of <- function(g) whole(function(tau) post(tau) * g(tau), 0, Inf) / total
sd_mean <- function(tau) sqrt(1 / sum(weight(tau)))
out("schools_mean_worse", of(function(tau) pnorm(-m, centre(tau), sd_mean(tau))))
out("schools_mean_better", of(function(tau) pnorm(m, centre(tau), sd_mean(tau), lower.tail = FALSE)))
sd_next <- function(tau) sqrt(1 / sum(weight(tau)) + tau^2)
out("schools_next_worse", of(function(tau) pnorm(-m, centre(tau), sd_next(tau))))
out("schools_next_better", of(function(tau) pnorm(m, centre(tau), sd_next(tau), lower.tail = FALSE)))
out("schools_spread_above_.1", whole(post, 0.1, Inf) / total)

# three data sets whose errors are known to 5, 13 and 2 degrees of freedom; half Cauchy .02, region .01, mean in -1..1
y <- c(0.031, 0.012, 0.044); s <- c(0.010, 0.006, 0.020); df <- c(5, 13, 2)
m <- 0.01; scale <- 0.02
one <- function(i, mu, tau) {  # over the wider of the two, so that the other is the narrow factor's average
  if (tau > s[i]) f <- function(t) dnorm(y[i] - s[i] * t, mu, tau) * dt(t, df[i])
  else f <- function(z) dt((y[i] - mu - tau * z) / s[i], df[i]) / s[i] * dnorm(z)
  integrate(f, -Inf, 0, rel.tol = 1e-7, subdivisions = 500L, stop.on.error = FALSE)$value +
    integrate(f, 0, Inf, rel.tol = 1e-7, subdivisions = 500L, stop.on.error = FALSE)$value
}
# tau = scale tan(pi u / 2) has the half Cauchy prior where u is uniform; mu = centre + width sinh(t)
gl <- function(n) {  # Gauss-Legendre nodes on -1..1 (Golub and Welsch 1969)
  b <- seq_len(n - 1) / sqrt(4 * seq_len(n - 1)^2 - 1)
  j <- matrix(0, n, n); j[cbind(1:(n - 1), 2:n)] <- b; j[cbind(2:n, 1:(n - 1))] <- b
  e <- eigen(j, symmetric = TRUE)
  list(x = e$values, w = 2 * e$vectors[1, ]^2)
}
a <- gl(40); u <- (a$x + 1) / 2; tau <- scale * tan(pi * u / 2); wu <- a$w / 2
b <- gl(80); width <- 0.005
ends <- asinh((c(-1, 1) - 0.02) / width)
t <- mean(ends) + diff(ends) / 2 * b$x
mu <- 0.02 + width * sinh(t); wm <- b$w * diff(ends) / 2 * width * cosh(t)
mass <- outer(seq_along(mu), seq_along(tau), Vectorize(function(i, j) {
  wm[i] * wu[j] * one(1, mu[i], tau[j]) * one(2, mu[i], tau[j]) * one(3, mu[i], tau[j])
}))
mass <- mass / sum(mass)
below <- outer(mu, tau, function(mu, tau) pnorm(-m, mu, tau)); above <- outer(mu, tau, function(mu, tau) pnorm(m, mu, tau, lower.tail = FALSE))
out("three_next_worse", sum(mass * below))
out("three_next_better", sum(mass * above))
out("three_mean", sum(mass * mu))
first <- ifelse(below >= above & below >= 1 - below - above, 1, ifelse(above >= 1 - below - above, 3, 2))
out("three_first_better", sum(mass[first == 3]))
out("three_first_equivalent", sum(mass[first == 2]))
